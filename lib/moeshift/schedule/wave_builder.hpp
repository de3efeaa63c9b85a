// SPDX-License-Identifier: Apache-2.0
// Copies, transfers and buffers that take a layer from one state to another.
#pragma once

#include <cstdint>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

/// Routes and orders all that `needs` asks for.
///
/// Local moves happen in place at the commit, after which staged experts are copied to their slots.
/// @param buffers_used staging buffers per rank; those handed out are counted on.
[[nodiscard]] Wave build_wave(const LayerNeeds& needs, const Topology& topology,
                              double inter_round_per_intra_round,
                              IdVector<RankId, std::uint32_t>& buffers_used);

}  // namespace moeshift
