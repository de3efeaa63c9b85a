// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/placement.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {

Placement::Placement(std::size_t num_experts, std::size_t num_ranks,
                     IdMatrix<LayerId, SlotId, ExpertId> physical_to_logical)
    : num_experts_(num_experts), num_ranks_(num_ranks), slots_(std::move(physical_to_logical)) {
  if (num_ranks == 0 || slots() == 0 || slots() % num_ranks != 0) {
    throw InputError(
        "", fmt::format("{} slots do not divide evenly over {} ranks", slots(), num_ranks));
  }
  for (const LayerId layer : slots_.row_ids()) {
    for (const SlotId slot : slots_.column_ids()) {
      const ExpertId expert = slots_(layer, slot);
      if (expert.is_none() || expert.index() < num_experts) continue;
      throw InputError("",
                       fmt::format("layer {} slot {} holds expert {}, expected 0 .. {} or none",
                                   layer.value(), slot.value(), expert.value(), num_experts - 1));
    }
  }
}

std::vector<std::uint32_t> Placement::replica_counts(LayerId layer_id) const {
  std::vector<std::uint32_t> counts(num_experts_, 0);
  for (const ExpertId expert : layer(layer_id)) {
    if (!expert.is_none()) ++counts[expert.index()];
  }
  return counts;
}

std::vector<std::vector<SlotId>> Placement::logical_to_physical(LayerId layer_id) const {
  std::vector<std::vector<SlotId>> holders(num_experts_);
  for (const SlotId slot : slots_.column_ids()) {
    const ExpertId expert = slots_(layer_id, slot);
    if (!expert.is_none()) holders[expert.index()].push_back(slot);
  }
  return holders;
}

std::vector<ExpertId> Placement::uncovered(LayerId layer_id) const {
  const std::vector<std::uint32_t> counts = replica_counts(layer_id);
  std::vector<ExpertId> missing;
  for (const ExpertId expert : all_ids<ExpertId>(num_experts_)) {
    if (counts[expert.index()] == 0) missing.push_back(expert);
  }
  return missing;
}

std::size_t Placement::duplicates(LayerId layer_id) const {
  std::size_t count = 0;
  for (const RankId rank : all_ids<RankId>(num_ranks_)) {
    const auto held = rank_slots(layer_id, rank);
    for (std::size_t i = 1; i < held.size(); ++i) {
      if (held[i].is_none()) continue;
      const auto before = held.first(i);
      if (std::find(before.begin(), before.end(), held[i]) != before.end()) ++count;
    }
  }
  return count;
}

}  // namespace moeshift
