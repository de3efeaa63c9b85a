// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/registry.hpp"

#include <array>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/plan/balanced.hpp"
#include "moeshift/plan/deepseek.hpp"
#include "moeshift/plan/fixed.hpp"

namespace moeshift {
namespace {

std::unique_ptr<Planner> make_static(const PolicyOptions&) {
  return std::make_unique<StaticPlanner>();
}

std::unique_ptr<Planner> make_contiguous(const PolicyOptions&) {
  return std::make_unique<ContiguousPlanner>();
}

std::unique_ptr<Planner> make_deepseek(const PolicyOptions& options) {
  return std::make_unique<EplbPlanner>(eplb_mode(options.hierarchy), pack_largest_first);
}

std::unique_ptr<Planner> make_snake(const PolicyOptions& options) {
  return std::make_unique<EplbPlanner>(eplb_mode(options.hierarchy), pack_snake);
}

std::unique_ptr<Planner> make_balanced(const PolicyOptions& options) {
  return std::make_unique<BalancedPlanner>(effort_named(options.effort), options.min_gain);
}

constexpr std::array kPolicies{
    PolicyEntry{"balanced", "fresh plan within 0.1 % of a certified bound, no doubled replicas",
                "this project; differencing after Michiels et al., STACS 2003", make_balanced},
    PolicyEntry{"static", "leave every expert where it is; vLLM's initial map when there is none",
                "vllm-project/vllm eplb_state.py", make_static},
    PolicyEntry{"contiguous", "experts in order, replicas side by side; no look at the load",
                "the default layout without balancing", make_contiguous},
    PolicyEntry{"deepseek", "greedy replicas, largest-first packing; bit-exact with its origin",
                "deepseek-ai/EPLB eplb.py rebalance_experts", make_deepseek},
    PolicyEntry{"snake", "greedy replicas, snake packing", "ADRS OpenEvolve, arXiv 2510.06189",
                make_snake},
};

}  // namespace

std::span<const PolicyEntry> policies() {
  return kPolicies;
}

std::unique_ptr<Planner> make_planner(std::string_view name, const PolicyOptions& options) {
  std::vector<std::string_view> names;
  for (const PolicyEntry& policy : kPolicies) {
    if (policy.name == name) return policy.make(options);
    names.push_back(policy.name);
  }
  throw InputError("", fmt::format("unknown policy '{}'{}; `moeshift policies` lists them", name,
                                   did_you_mean(name, names)));
}

}  // namespace moeshift
