// SPDX-License-Identifier: Apache-2.0
// Figures of each class of links, as results have them.
#pragma once

#include <array>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/core/units.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift::cli {

/// {"intra_node", "inter_node", "inter_rack"}, from `first` on: what stays on a rank crosses none.
[[nodiscard]] nlohmann::ordered_json bytes_by_link_json(
    const std::array<Bytes, kLinkClasses>& bytes, LinkClass first = LinkClass::kIntraNode);

}  // namespace moeshift::cli
