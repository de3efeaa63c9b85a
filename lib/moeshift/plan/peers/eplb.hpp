// SPDX-License-Identifier: Apache-2.0
// `rebalance_experts` of deepseek-ai/EPLB with the packing left open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/plan/fresh/eplb_steps.hpp"
#include "moeshift/plan/layered_planner.hpp"

namespace moeshift {

/// How groups and nodes enter a plan.
enum class EplbMode {
  kAuto,          ///< hierarchical when groups divide by nodes and ranks by nodes, else global
  kHierarchical,  ///< groups to nodes, replicas inside the node, replicas to ranks
  kGlobal,        ///< as if there were one group and one node
};

/// "auto", "hierarchical" or "global".
/// @throws InputError for any other name.
[[nodiscard]] EplbMode eplb_mode(const std::string& name);

/// One layer as its origin returns it.
struct EplbLayer {
  std::vector<ExpertId> slots;         ///< [slots] `phy2log`
  std::vector<std::uint32_t> replica;  ///< [slots] `phyrank`: the how-manieth replica sits there
};

/// One layer by `rebalance_experts` of deepseek-ai/EPLB: groups to nodes, replicas within each
/// node, replicas to ranks, each packed by `pack`.
/// @throws InfeasibleError when kHierarchical is asked for but groups or ranks do not divide by the
///         nodes.
[[nodiscard]] EplbLayer plan_by_eplb(const LayerProblem& problem, EplbMode mode, PackingRule pack);

}  // namespace moeshift
