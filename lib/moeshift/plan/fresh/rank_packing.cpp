// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/rank_packing.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {

RankPacking::RankPacking(std::span<const double> load, std::size_t ranks,
                         std::vector<std::uint32_t> experts)
    : load_(load),
      slots_per_rank_(experts.size() / ranks),
      expert_(std::move(experts)),
      share_(expert_.size()),
      count_(load.size(), 0),
      rank_load_(ranks, 0),
      holds_(ranks * load.size(), 0) {
  for (const std::uint32_t e : expert_) ++count_[e];
  for (std::size_t slot = 0; slot < expert_.size(); ++slot) {
    const std::size_t rank = slot / slots_per_rank_;
    std::uint8_t& held = holds_[rank * load_.size() + expert_[slot]];
    MOESHIFT_CHECK(held == 0);
    held = 1;
    share_[slot] = share(expert_[slot]);
    rank_load_[rank] += share_[slot];
  }
}

std::size_t RankPacking::busiest() const {
  return static_cast<std::size_t>(std::max_element(rank_load_.begin(), rank_load_.end()) -
                                  rank_load_.begin());
}

void RankPacking::swap(std::size_t slot, std::size_t other) {
  const std::size_t rank = slot / slots_per_rank_;
  const std::size_t other_rank = other / slots_per_rank_;
  holds_[rank * load_.size() + expert_[slot]] = 0;
  holds_[other_rank * load_.size() + expert_[other]] = 0;
  std::swap(expert_[slot], expert_[other]);
  std::swap(share_[slot], share_[other]);
  holds_[rank * load_.size() + expert_[slot]] = 1;
  holds_[other_rank * load_.size() + expert_[other]] = 1;
  // Summed afresh: thousands of increments would drift, and drift would depend on the path.
  for (const std::size_t g : {rank, other_rank}) {
    rank_load_[g] = 0;
    for (std::size_t i = 0; i < slots_per_rank_; ++i) rank_load_[g] += slot_shares(g)[i];
  }
}

void RankPacking::reshare(std::uint32_t expert) {
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    if (!holds(rank, expert)) continue;
    double* shares = share_.data() + rank * slots_per_rank_;
    rank_load_[rank] = 0;
    for (std::size_t i = 0; i < slots_per_rank_; ++i) {
      if (expert_[rank * slots_per_rank_ + i] == expert) shares[i] = share(expert);
      rank_load_[rank] += shares[i];
    }
  }
}

void RankPacking::replace(std::size_t slot, std::uint32_t expert) {
  const std::size_t rank = slot / slots_per_rank_;
  const std::uint32_t dropped = expert_[slot];
  holds_[rank * load_.size() + dropped] = 0;
  holds_[rank * load_.size() + expert] = 1;
  --count_[dropped];
  ++count_[expert];
  expert_[slot] = expert;
  reshare(dropped);
  reshare(expert);
}

std::vector<ExpertId> RankPacking::placed() const {
  std::vector<ExpertId> slots;
  slots.reserve(expert_.size());
  for (const std::uint32_t e : expert_) slots.emplace_back(e);
  return slots;
}

bool distinct(std::span<const std::uint32_t> experts, std::size_t slots_per_rank) {
  for (std::size_t first = 0; first < experts.size(); first += slots_per_rank) {
    const auto rank = experts.subspan(first, slots_per_rank);
    for (std::size_t i = 1; i < rank.size(); ++i) {
      if (std::find(rank.begin(), rank.begin() + static_cast<std::ptrdiff_t>(i), rank[i]) !=
          rank.begin() + static_cast<std::ptrdiff_t>(i)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace moeshift
