// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/registry.hpp"

#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/plan/asked/objective_planner.hpp"
#include "moeshift/plan/asked/slots_budget.hpp"
#include "moeshift/plan/fresh/balanced.hpp"
#include "moeshift/plan/fresh/hierarchical.hpp"
#include "moeshift/plan/peers/deepseek.hpp"
#include "moeshift/plan/peers/fixed.hpp"
#include "moeshift/plan/peers/flashlb.hpp"
#include "moeshift/plan/peers/sglang_vec.hpp"
#include "moeshift/plan/peers/swift.hpp"
#include "moeshift/plan/peers/trtllm.hpp"
#include "moeshift/plan/peers/vllm.hpp"
#include "moeshift/plan/survive.hpp"
#include "moeshift/plan/together/together_planner.hpp"
#include "moeshift/plan/tuned.hpp"
#include "moeshift/plan/warm/incremental.hpp"

namespace moeshift {
namespace {

std::unique_ptr<Planner> make_static(const PolicyOptions&) {
  return std::make_unique<StaticPlanner>();
}

std::unique_ptr<Planner> make_contiguous(const PolicyOptions&) {
  return std::make_unique<ContiguousPlanner>();
}

std::unique_ptr<Planner> make_deepseek(const PolicyOptions& options) {
  return std::make_unique<EplbPlanner>(options.hierarchy, pack_largest_first);
}

std::unique_ptr<Planner> make_snake(const PolicyOptions& options) {
  return std::make_unique<EplbPlanner>(options.hierarchy, pack_snake);
}

LinkPrices links_of(const PolicyOptions& options) {
  if (options.inter_node_price < 1) {
    throw InputError("", "an inter-node transfer cannot cost less than an intra-node one");
  }
  return {.intra_node = 1, .inter_node = options.inter_node_price};
}

IncrementalOptions warm_options(const PolicyOptions& options) {
  IncrementalOptions warm;
  warm.effort = options.effort;
  warm.links = links_of(options);
  warm.min_gain = options.min_gain;
  warm.target_gap = options.target_gap;
  if (options.budget) warm.budget_transfers = ratio(*options.budget, options.expert_bytes);
  return warm;
}

double price_of(const PolicyOptions& options, double default_price) {
  const double price = options.price.value_or(default_price);
  if (price >= 0) return price;
  throw InputError("price", fmt::format("expected a number >= 0, got {}", price));
}

std::unique_ptr<Planner> make_incremental(const PolicyOptions& options) {
  return std::make_unique<IncrementalPlanner>(incremental_options(options));
}

std::unique_ptr<Planner> make_robust(const PolicyOptions& options) {
  return std::make_unique<IncrementalPlanner>(robust_options(options));
}

std::unique_ptr<Planner> make_hierarchical(const PolicyOptions& options) {
  return std::make_unique<HierarchicalPlanner>(options.home, options.effort, links_of(options));
}

std::unique_ptr<Planner> make_vllm(const PolicyOptions& options) {
  return std::make_unique<VllmPlanner>(options.hierarchy);
}

std::unique_ptr<Planner> make_sglang_vec(const PolicyOptions&) {
  return std::make_unique<SglangVecPlanner>();
}

std::unique_ptr<Planner> make_trtllm(const PolicyOptions&) {
  return std::make_unique<TrtllmPlanner>();
}

std::unique_ptr<Planner> make_swift(const PolicyOptions&) {
  return std::make_unique<SwiftPlanner>();
}

std::unique_ptr<Planner> make_flashlb(const PolicyOptions&) {
  return std::make_unique<FlashLbPlanner>();
}

std::unique_ptr<Planner> make_balanced(const PolicyOptions& options) {
  return std::make_unique<BalancedPlanner>(options.effort, options.min_gain, links_of(options));
}

constexpr std::array kPolicies{
    PolicyEntry{"balanced", "fresh plan within 0.1 % of a certified bound, no doubled replicas",
                "this project; differencing after Michiels et al., STACS 2003", make_balanced,
                true},
    PolicyEntry{"hierarchical", "expert groups on their home nodes: hard, soft or at a price",
                "this project", make_hierarchical, true},
    PolicyEntry{"incremental", "from the old placement: most balance per byte, under a budget",
                "this project", make_incremental, true},
    PolicyEntry{"robust", "over all windows at once, fresh or from the old placement",
                "this project", make_robust, true},
    PolicyEntry{"static", "leave every expert where it is; vLLM's initial map when there is none",
                "vllm-project/vllm eplb_state.py", make_static},
    PolicyEntry{"contiguous", "experts in order, replicas side by side; no look at the load",
                "the default layout without balancing", make_contiguous},
    PolicyEntry{
        "deepseek",
        "greedy replicas, largest-first packing; peaks of its origin, and its slots but where "
        "loads tie",
        "deepseek-ai/EPLB eplb.py rebalance_experts", make_deepseek},
    PolicyEntry{"vllm", "deepseek, then replicas that stay on a rank keep their slot",
                "vllm-project/vllm eplb/policy/default.py", make_vllm},
    PolicyEntry{"sglang_vec", "greedy replicas over all windows, snake packing",
                "sgl-project/sglang eplb_algorithms/deepseek_vec.py", make_sglang_vec},
    PolicyEntry{"trtllm", "greedy replicas, largest-first packing; ties to the higher expert",
                "NVIDIA/TensorRT-LLM moeLoadBalancer", make_trtllm},
    PolicyEntry{"snake", "greedy replicas, snake packing", "ADRS OpenEvolve, arXiv 2510.06189",
                make_snake},
    PolicyEntry{
        "swift",
        "new spare replicas and few swaps, one expert per pair of ranks; its gates judge every "
        "layer by its own load, its owner's by the first layer's",
        "vllm-project/vllm-ascend policy_swift_balancer.py", make_swift},
    PolicyEntry{
        "flashlb",
        "counts and placement on means and covariances of the windows; at most 64 windows, no "
        "memory between calls",
        "vllm-project/vllm-ascend policy_flashlb.py, pull requests 3042, 6477", make_flashlb},
};

/// Asks a policy for coverage after losses.
class SurvivingPlanner final : public Planner {
 public:
  SurvivingPlanner(std::unique_ptr<Planner> policy, const Survive& survive)
      : policy_(std::move(policy)), survive_(survive) {}

  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override {
    PlanProblem covered = problem;
    covered.survive = survive_;
    return policy_->plan(covered, threads, progress);
  }

 private:
  std::unique_ptr<Planner> policy_;
  Survive survive_;
};

void check_combination(const PolicyEntry& policy, const PolicyOptions& options,
                       const Survive& survive) {
  if (survive.losses > 0 && !policy.survives) {
    throw InputError("", fmt::format("{} does not heed losses to survive; balanced, hierarchical, "
                                     "incremental and robust do",
                                     policy.name));
  }
  if (!options.slots_budget) return;
  if (options.budget) {
    throw InputError("",
                     "a budget of slots and one of bytes do not go together: every number of "
                     "slots would spend all bytes");
  }
  if (options.network) {
    throw InputError("", "a budget of slots weighs layers by tokens; leave out the routes");
  }
  if (!options.objective.counts_tokens_only()) {
    throw InputError("", "a budget of slots weighs layers by tokens; leave out the objective");
  }
}

std::unique_ptr<Planner> dress(const PolicyEntry& policy, const PolicyOptions& options) {
  const Survive& survive = options.survive;
  check_combination(policy, options, survive);
  std::unique_ptr<Planner> planner = policy.make(options);
  std::unique_ptr<Planner> plain;
  if (!options.objective.counts_tokens_only()) {
    planner = std::make_unique<ObjectivePlanner>(std::move(planner), options.objective,
                                                 policy.name == "balanced");
    if (options.network) plain = policy.make(options);
  }
  if (options.network && policy.survives) {
    std::optional<double> budget;
    if (options.budget) budget = ratio(*options.budget, options.expert_bytes);
    const double price = price_of(options, policy.name == "robust" ? tuned::kRobustPrice : 0);
    planner = std::make_unique<TogetherPlanner>(
        std::move(planner), std::move(plain),
        goal_as(policy.name, *options.network, {options.inter_node_price, price, budget}));
  }
  if (options.slots_budget) {
    planner = std::make_unique<SlotsBudgetPlanner>(std::move(planner), *options.slots_budget);
  }
  if (survive.losses == 0) return planner;
  return std::make_unique<SurvivingPlanner>(std::move(planner), survive);
}

}  // namespace

IncrementalOptions incremental_options(const PolicyOptions& options) {
  IncrementalOptions warm = warm_options(options);
  warm.price = price_of(options, 0);
  warm.doubt = tuned::kIncrementalDoubt;
  warm.needs_old = true;
  return warm;
}

IncrementalOptions robust_options(const PolicyOptions& options) {
  IncrementalOptions warm = warm_options(options);
  warm.risk = options.risk;
  warm.use_samples = true;
  warm.from_scratch = options.from_scratch;
  warm.price = price_of(options, tuned::kRobustPrice);
  if (!options.price) {
    warm.settled = tuned::kSettledShare;
    warm.rebuild_share = tuned::kRebuildShare;
  }
  warm.floor = warm.price == 0 || !options.price;
  warm.doubt = tuned::kRobustDoubt;
  return warm;
}

std::span<const PolicyEntry> policies() {
  return kPolicies;
}

std::unique_ptr<Planner> make_planner(std::string_view name, const PolicyOptions& options) {
  return dress(row_named(kPolicies, "policy", name), options);
}

}  // namespace moeshift
