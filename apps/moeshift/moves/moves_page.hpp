// SPDX-License-Identifier: Apache-2.0
// What the page of `moves` shows beside its tables: who sends to whom, how long, over which links.
#pragma once

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/report/report.hpp"

#include "apps/moeshift/moves/against_peer.hpp"

namespace moeshift::cli {

/// Adds figures and charts; none of them shows in a terminal.
void add_moves_page(const TransferPlan& plan, const TransferCost& cost, Report& report);

/// From the peer's time to ours, feature by feature.
[[nodiscard]] Chart against_chart(const AgainstPeer& against);

}  // namespace moeshift::cli
