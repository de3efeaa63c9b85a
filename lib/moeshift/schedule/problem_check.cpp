// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/problem_check.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

void check_shapes(const Placement& old, const Placement& next, const Topology& topology) {
  const auto disagree = [](std::string_view what, std::size_t a, std::size_t b) {
    throw InputError("", fmt::format("old placement has {} {}, new placement {}", a, what, b));
  };
  if (old.layers() != next.layers()) disagree("layers", old.layers(), next.layers());
  if (old.experts() != next.experts()) disagree("experts", old.experts(), next.experts());
  const std::size_t ranks = std::max(old.ranks(), next.ranks());
  if (topology.ranks() != ranks) {
    throw InputError(
        "", fmt::format("placements have {} ranks, cluster has {}", ranks, topology.ranks()));
  }
}

IdVector<RankId, bool> dead_flags(const std::vector<RankId>& dead_ranks, std::size_t ranks) {
  IdVector<RankId, bool> dead(ranks, false);
  for (const RankId rank : dead_ranks) {
    if (rank.index() >= ranks) {
      throw InputError("", fmt::format("dead rank {}, expected 0 .. {}", rank.value(), ranks - 1));
    }
    dead[rank] = true;
  }
  return dead;
}

/// "layer 3: experts 5, 7; layer 4: expert 9"
void check_reachable(const std::vector<LayerNeeds>& needs) {
  std::string missing;
  for (std::size_t layer = 0; layer < needs.size(); ++layer) {
    const std::vector<ExpertId>& experts = needs[layer].unreachable;
    if (experts.empty()) continue;
    missing += fmt::format("{}layer {}: expert{}", missing.empty() ? "" : "; ", layer,
                           experts.size() == 1 ? "" : "s");
    for (std::size_t i = 0; i < experts.size(); ++i) {
      missing += fmt::format("{} {}", i == 0 ? "" : ",", experts[i].value());
    }
  }
  if (!missing.empty()) {
    throw InputError("", "no live rank of the old placement holds " + missing);
  }
}

}  // namespace

std::vector<LayerNeeds> checked_needs(const Placement& old, const Placement& next,
                                      const Topology& topology,
                                      const std::vector<RankId>& dead_ranks, Threads threads) {
  check_shapes(old, next, topology);
  const IdVector<RankId, bool> dead = dead_flags(dead_ranks, topology.ranks());
  std::vector<LayerNeeds> needs(next.layers());
  parallel_for(needs.size(), threads,
               [&](std::size_t i) { needs[i] = find_needs(old, next, LayerId(i), dead); });
  check_reachable(needs);
  return needs;
}

TransferPlan empty_plan(const Placement& old, const Placement& next, const Topology& topology,
                        Bytes expert_bytes) {
  TransferPlan plan;
  plan.ranks = topology.ranks();
  plan.experts = next.experts();
  plan.old_slots_per_rank = old.slots_per_rank();
  plan.new_slots_per_rank = next.slots_per_rank();
  plan.old_ranks = old.ranks();
  plan.new_ranks = next.ranks();
  plan.expert_bytes = expert_bytes;
  plan.staging_slots.assign(plan.ranks, 0);
  for (std::size_t i = 0; i < next.layers(); ++i) {
    plan.layers.push_back({LayerId(i), {}});
    plan.batches.push_back({i, 1});
  }
  return plan;
}

}  // namespace moeshift
