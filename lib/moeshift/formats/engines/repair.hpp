// SPDX-License-Identifier: Apache-2.0
// Slots that an engine would not take, given something better. Internal to formats/engines.
#pragma once

#include <cstddef>
#include <vector>

#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift {

/// How many slots were changed, and the ranks that held nothing at all before.
struct Repairs {
  std::size_t filled = 0;
  std::size_t by_replicas = 0;  ///< of these, in layers whose load nothing says
  std::size_t replaced = 0;
  std::vector<RankId> revived;
};

/// Gives every empty slot (`fill`) and every second replica of a rank (`distinct`) an expert that
/// the rank lacks: first those without any holder, then the one whose replicas carry most.
/// @param load [layers, experts], or no rows: then the replicas that the planner gave an expert
/// stand
///        for its load.
/// O(layers * slots * experts).
[[nodiscard]] Placement repaired(const Placement& placement, const LoadMatrix& load, bool fill,
                                 bool distinct, Repairs& repairs);

}  // namespace moeshift
