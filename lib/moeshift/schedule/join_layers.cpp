// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/join_layers.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace moeshift {
namespace {

using Buffers = IdVector<RankId, std::uint32_t>;

/// Staging buffers that the layer uses on each rank.
Buffers buffers_of(const LayerMoves& layer, std::size_t ranks) {
  Buffers used(ranks, 0);
  const auto see = [&](RankId rank, const Place& place) {
    if (place.kind == Place::Kind::kStaging) used[rank] = std::max(used[rank], place.index + 1);
  };
  for (const Wave& wave : layer.waves) {
    for (const LocalCopy& copy : wave.stage_copies) see(copy.rank, copy.to);
    for (const Transfer& transfer : wave.transfers) see(transfer.destination, transfer.to);
  }
  return used;
}

/// Numbers the layer's buffers after the first `taken` ones of each rank.
void shift_buffers(LayerMoves& layer, const Buffers& taken) {
  const auto shift = [&](RankId rank, Place& place) {
    if (place.kind == Place::Kind::kStaging) place.index += taken[rank];
  };
  for (Wave& wave : layer.waves) {
    for (auto* copies : {&wave.stage_copies, &wave.commit_copies}) {
      for (LocalCopy& copy : *copies) {
        shift(copy.rank, copy.from);
        shift(copy.rank, copy.to);
      }
    }
    for (Transfer& transfer : wave.transfers) {
      shift(transfer.source, transfer.from);
      shift(transfer.destination, transfer.to);
    }
  }
}

/// The batch that grows, and what it stages.
class Joiner {
 public:
  Joiner(TransferPlan& plan, Bytes bytes) : plan_(plan), bytes_(bytes) {}

  void add(const LayerBatch& batch) {
    Buffers used(plan_.ranks, 0);
    bool whole = batch.count == 1 && plan_.layers[batch.first].waves.size() <= 1;
    if (whole) used = buffers_of(plan_.layers[batch.first], plan_.ranks);
    if (!whole || !open_ || !fits(used)) {
      joined_.push_back(batch);
      taken_ = std::move(used);
      open_ = whole;
    } else {
      shift_buffers(plan_.layers[batch.first], taken_);
      for (const RankId rank : taken_.ids()) taken_[rank] += used[rank];
      ++joined_.back().count;
    }
    for (const RankId rank : taken_.ids()) {
      plan_.staging_slots[rank] = std::max(plan_.staging_slots[rank], taken_[rank]);
    }
  }

  [[nodiscard]] std::vector<LayerBatch> take() { return std::move(joined_); }

 private:
  [[nodiscard]] bool fits(const Buffers& more) const {
    std::uint32_t most = 0;
    for (const RankId rank : taken_.ids()) most = std::max(most, taken_[rank] + more[rank]);
    return plan_.expert_bytes * static_cast<std::int64_t>(most) < bytes_;
  }

  TransferPlan& plan_;
  Bytes bytes_;
  std::vector<LayerBatch> joined_;
  Buffers taken_;
  bool open_ = false;
};

}  // namespace

TransferPlan join_layers(TransferPlan plan, Bytes bytes) {
  if (bytes.count() == 0) return plan;
  Joiner joiner(plan, bytes);
  for (const LayerBatch& batch : plan.batches) joiner.add(batch);
  plan.batches = joiner.take();
  plan.hash = content_hash(plan);
  return plan;
}

}  // namespace moeshift
