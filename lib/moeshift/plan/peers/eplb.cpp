// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/peers/eplb.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <queue>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"

namespace moeshift {
namespace {

/// Groups and nodes as they take part in the plan.
struct Shape {
  std::size_t groups;
  std::size_t nodes;
};

Shape shape_of(const LayerProblem& problem, EplbMode mode) {
  const Shape given{problem.expert_groups, problem.nodes};
  if (mode == EplbMode::kGlobal) return {1, 1};
  const bool by_node = given.groups % given.nodes == 0 && problem.even_nodes();
  const bool divides = problem.experts() % given.groups == 0;
  if (by_node && divides) return given;
  if (by_node && mode == EplbMode::kAuto) {  // the origin stops here too, on an assertion
    throw InputError("groups", fmt::format("{} experts do not divide evenly into {} groups",
                                           problem.experts(), given.groups));
  }
  if (mode == EplbMode::kAuto) return {1, 1};
  throw InfeasibleError(fmt::format(
      "hierarchical planning needs experts that divide by the groups, and groups and "
      "ranks that divide by the nodes: {} experts, {} groups, {} ranks, {} nodes do not",
      problem.experts(), given.groups, problem.ranks(), given.nodes));
}

/// The float32 sum of a row in the order of PyTorch's reduction kernel: eight lanes (AVX2), four
/// accumulators of them, then the tail, then the lanes. Only sums past 2^24 can tell the order.
float torch_row_sum(std::span<const float> row) {
  constexpr std::size_t kLanes = 8;
  constexpr std::size_t kAccumulators = 4;
  std::array<std::array<float, kLanes>, kAccumulators> sums{};
  const std::size_t vectors = row.size() / kLanes;
  const std::size_t unrolled = vectors / kAccumulators * kAccumulators;
  for (std::size_t v = 0; v < vectors; ++v) {
    auto& sum = sums[v < unrolled ? v % kAccumulators : 0];
    for (std::size_t lane = 0; lane < kLanes; ++lane) sum[lane] += row[v * kLanes + lane];
  }
  for (std::size_t a = 1; a < kAccumulators; ++a) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[0][lane] += sums[a][lane];
  }
  float total = 0;
  for (std::size_t i = vectors * kLanes; i < row.size(); ++i) total += row[i];
  for (const float lane : sums[0]) total += lane;
  return total;
}

std::vector<float> group_sums(std::span<const float> load, std::size_t groups) {
  const std::size_t size = load.size() / groups;
  std::vector<float> sums(groups);
  for (std::size_t g = 0; g < groups; ++g) sums[g] = torch_row_sum(load.subspan(g * size, size));
  return sums;
}

/// The experts of every node, node after node, in the order of the groups packed there.
std::vector<std::uint32_t> experts_by_node(std::span<const float> load, Shape shape,
                                           PackingRule pack) {
  const Packing packed = pack(group_sums(load, shape.groups), shape.nodes);
  const std::size_t group_size = load.size() / shape.groups;
  const std::size_t groups_per_node = shape.groups / shape.nodes;
  std::vector<std::uint32_t> experts(load.size());
  for (std::size_t group = 0; group < shape.groups; ++group) {
    const std::size_t place = packed.pack[group] * groups_per_node + packed.position[group];
    for (std::size_t i = 0; i < group_size; ++i) {
      experts[place * group_size + i] = static_cast<std::uint32_t>(group * group_size + i);
    }
  }
  return experts;
}

/// Replicates and packs the experts of one node into its slots.
void plan_node(std::span<const float> load, std::span<const std::uint32_t> experts,
               std::size_t ranks, PackingRule pack, std::span<ExpertId> slots,
               std::span<std::uint32_t> replica) {
  std::vector<float> weights(experts.size());
  for (std::size_t i = 0; i < experts.size(); ++i) weights[i] = load[experts[i]];
  const std::vector<std::uint32_t> replicas = replicate_greedily(weights, slots.size());
  std::vector<std::uint32_t> counts(experts.size(), 0);
  std::vector<std::uint32_t> number(replicas.size());
  for (std::size_t i = 0; i < replicas.size(); ++i) number[i] = counts[replicas[i]]++;
  std::vector<float> shares(replicas.size());
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    shares[i] = weights[replicas[i]] / static_cast<float>(counts[replicas[i]]);
  }
  const Packing packed = pack(shares, ranks);
  const std::size_t slots_per_rank = slots.size() / ranks;
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    const std::size_t slot = packed.pack[i] * slots_per_rank + packed.position[i];
    slots[slot] = ExpertId(experts[replicas[i]]);
    replica[slot] = number[i];
  }
}

}  // namespace

EplbMode eplb_mode(const std::string& name) {
  if (name == "auto") return EplbMode::kAuto;
  if (name == "hierarchical") return EplbMode::kHierarchical;
  if (name == "global") return EplbMode::kGlobal;
  static constexpr std::array<std::string_view, 3> kNames{"auto", "hierarchical", "global"};
  throw InputError(
      "", fmt::format("unknown hierarchy '{}'; expected auto, hierarchical or global{}", name,
                      did_you_mean(name, kNames)));
}

EplbLayer plan_by_eplb(const LayerProblem& problem, EplbMode mode, PackingRule pack) {
  const Shape shape = shape_of(problem, mode);
  const std::vector<float> load(problem.load.begin(), problem.load.end());
  const std::vector<std::uint32_t> experts = experts_by_node(load, shape, pack);
  const std::size_t experts_per_node = experts.size() / shape.nodes;
  const std::size_t slots_per_node = problem.slots() / shape.nodes;
  EplbLayer layer{std::vector<ExpertId>(problem.slots()),
                  std::vector<std::uint32_t>(problem.slots())};
  for (std::size_t node = 0; node < shape.nodes; ++node) {
    plan_node(load, std::span(experts).subspan(node * experts_per_node, experts_per_node),
              problem.ranks() / shape.nodes, pack,
              std::span(layer.slots).subspan(node * slots_per_node, slots_per_node),
              std::span(layer.replica).subspan(node * slots_per_node, slots_per_node));
  }
  return layer;
}

}  // namespace moeshift
