// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/serving_world.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/model/layer_text.hpp"

namespace moeshift {
namespace {

std::vector<bool> ranks_that_hold(const Placement& placement) {
  std::vector<bool> holds(placement.ranks());
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    for (const SlotId slot : all_ids<SlotId>(placement.slots())) {
      if (placement(layer, slot).is_none()) continue;
      holds[placement.rank_of(slot).index()] = true;
    }
  }
  return holds;
}

void check_events(const std::vector<WorldEvent>& events, std::size_t ranks) {
  for (const WorldEvent& event : events) {
    if (event.rank.index() >= ranks && event.kind == WorldEvent::Kind::kFail) {
      throw InputError("", fmt::format("rank {} cannot fail: the ranks are 0 .. {}",
                                       event.rank.value(), ranks - 1));
    }
    if (event.ranks > ranks) {
      throw InputError(
          "", fmt::format("cannot grow to {} ranks: the deployment has {}", event.ranks, ranks));
    }
  }
}

}  // namespace

ServingWorld::ServingWorld(const LaneSettings& settings, const Deployment& deployment,
                           const Placement& initial)
    : settings_(settings), deployment_(deployment), model_(deployment.model) {
  check_events(settings_.events, initial.ranks());
  set_serving(ranks_that_hold(initial));
}

const WorldEvent* ServingWorld::next_event(std::uint64_t step) {
  if (next_event_ == settings_.events.size()) return nullptr;
  const WorldEvent& event = settings_.events[next_event_];
  if (event.step > step) return nullptr;
  ++next_event_;
  return &event;
}

void ServingWorld::set_serving(std::vector<bool> serving) {
  serving_ = std::move(serving);
  inactive_.clear();
  std::set<NodeId> nodes;
  for (const RankId rank : all_ids<RankId>(serving_.size())) {
    if (serving_[rank.index()]) {
      nodes.insert(deployment_.topology().node_of(rank));
    } else {
      inactive_.push_back(rank);
    }
  }
  const std::size_t count = serving_.size() - inactive_.size();
  if (count == 0) throw InputError("", "no rank is left to serve");
  model_ = deployment_.model.among(count, nodes.size());
}

bool ServingWorld::has_failed(RankId rank) const {
  return std::binary_search(failed_.begin(), failed_.end(), rank);
}

ServingWorld::Survivors ServingWorld::fail(const WorldEvent& event, const Placement& placement) {
  failed_.insert(std::upper_bound(failed_.begin(), failed_.end(), event.rank), event.rank);
  std::vector<bool> serving = serving_;
  serving[event.rank.index()] = false;
  set_serving(std::move(serving));
  const Placement left = without_ranks(placement, serving_);
  const std::vector<Reload> reloads = plan_reloads(left, serving_);
  if (!reloads.empty() && !settings_.reload) {
    throw LayerInputError(
        LayerText() << fmt::format("step {}: rank {} alone held ", event.step, event.rank.value())
                    << describe(reloads)
                    << "; say how fast a rank reads experts from storage, or place them more than "
                       "once");
  }
  IdMatrix<LayerId, SlotId, ExpertId> slots = left.physical_to_logical();
  std::vector<Bytes> reads(left.ranks());
  for (const Reload& reload : reloads) {
    slots(reload.layer, reload.slot) = reload.expert;
    reads[left.rank_of(reload.slot).index()] +=
        deployment_.expert_sizes(reload.layer, reload.expert);
  }
  Survivors survivors{Placement(left.experts(), left.ranks(), std::move(slots)), reloads.size(),
                      Seconds()};
  if (!reloads.empty()) {
    survivors.reload = *std::max_element(reads.begin(), reads.end()) / *settings_.reload;
  }
  return survivors;
}

void ServingWorld::resize(std::size_t ranks) {
  std::vector<bool> serving(serving_.size());
  for (std::size_t rank = 0; rank < ranks; ++rank) serving[rank] = true;
  for (const RankId rank : failed_) serving[rank.index()] = false;
  set_serving(std::move(serving));
}

}  // namespace moeshift
