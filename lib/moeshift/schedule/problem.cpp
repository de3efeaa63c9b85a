// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/problem.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/model/layer_text.hpp"

namespace moeshift {
namespace {

/// Of experts that nobody holds: a rank that died may take thousands along.
constexpr std::size_t kMostNamed = 20;

}  // namespace

Problem::Problem(const Placement& old, const Placement& next, const Topology& topology,
                 const ExpertSizes& sizes, const std::vector<RankId>& dead_ranks, Threads threads)
    : old_(old),
      next_(next),
      sizes_(sizes),
      ranks_(topology.ranks()),
      dead_(ranks_, false),
      no_rank_(ranks_, false),
      needs_(next.layers()) {
  check_shapes();
  for (const RankId rank : dead_ranks) {
    if (rank.index() >= ranks_) {
      throw InputError("", fmt::format("dead rank {}, expected 0 .. {}", rank.value(), ranks_ - 1));
    }
    dead_[rank] = true;
  }
  parallel_for(layers(), threads, [&](std::size_t i) {
    const LayerId layer(i);
    needs_[layer] = needs_between(layer, before(layer), after(layer));
  });
  check_reachable();
}

LayerNeeds Problem::needs_between(LayerId layer, const LayerSlots& before,
                                  const LayerSlots& after) const {
  LayerNeeds needs = find_needs(before, after, experts());
  for (std::size_t i = 0; !sizes_.uniform(layer) && i < experts(); ++i) {
    needs.weights.push_back(sizes_(layer, ExpertId(i)).count());
  }
  return needs;
}

TransferPlan Problem::empty_plan() const {
  TransferPlan plan;
  plan.ranks = ranks_;
  plan.experts = experts();
  plan.old_slots_per_rank = old_.slots_per_rank();
  plan.new_slots_per_rank = next_.slots_per_rank();
  plan.old_ranks = old_.ranks();
  plan.new_ranks = next_.ranks();
  plan.sizes = sizes_;
  plan.staging_slots.assign(ranks_, 0);
  for (std::size_t i = 0; i < layers(); ++i) {
    plan.layers.push_back({LayerId(i), {}});
    plan.batches.push_back({i, 1});
  }
  return plan;
}

LayerSlots Problem::slots(const Placement& placement, LayerId layer,
                          const IdVector<RankId, bool>& dead) const {
  return layer_slots(placement, layer, ranks_,
                     std::max(old_.slots_per_rank(), next_.slots_per_rank()), dead);
}

void Problem::check_shapes() const {
  const auto disagree = [](std::string_view what, std::size_t a, std::size_t b) {
    throw InputError("", fmt::format("old placement has {} {}, new placement {}", a, what, b));
  };
  if (old_.layers() != next_.layers()) disagree("layers", old_.layers(), next_.layers());
  if (old_.experts() != next_.experts()) disagree("experts", old_.experts(), next_.experts());
  if (!sizes_.fits(layers(), experts())) {
    throw InputError(
        "", fmt::format("expected bytes of {} layers and {} experts", layers(), experts()));
  }
  const std::size_t ranks = std::max(old_.ranks(), next_.ranks());
  if (ranks_ == ranks) return;
  throw InputError("", fmt::format("placements have {} ranks, cluster has {}", ranks, ranks_));
}

/// "layer 3: experts 5, 7; layer 4: expert 9 and 12 more"
void Problem::check_reachable() const {
  LayerText missing;
  std::size_t named = 0;
  std::size_t unnamed = 0;
  for (const LayerId layer : needs_.ids()) {
    const std::vector<ExpertId>& experts = needs_[layer].unreachable;
    if (experts.empty()) continue;
    if (named >= kMostNamed) {
      unnamed += experts.size();
      continue;
    }
    missing << (missing.empty() ? "layer " : "; layer ") << layer
            << (experts.size() == 1 ? ": expert" : ": experts");
    const std::size_t shown = std::min(experts.size(), kMostNamed - named);
    for (std::size_t i = 0; i < shown; ++i) {
      missing << fmt::format("{} {}", i == 0 ? "" : ",", experts[i].value());
    }
    named += shown;
    unnamed += experts.size() - shown;
  }
  if (missing.empty()) return;
  if (unnamed > 0) missing << fmt::format(" and {} more", unnamed);
  const bool anybody_dead = std::find(dead_.begin(), dead_.end(), true) != dead_.end();
  if (anybody_dead) {
    throw LayerInfeasibleError(LayerText()
                               << "no live rank of the old placement holds " << missing);
  }
  throw LayerInputError(LayerText() << "no rank of the old placement holds " << missing);
}

}  // namespace moeshift
