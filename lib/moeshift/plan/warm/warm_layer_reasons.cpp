// SPDX-License-Identifier: Apache-2.0
// Why each replica of a re-planned layer moved.
#include <algorithm>
#include <utility>

#include "moeshift/plan/warm/warm_layer.hpp"

namespace moeshift {

double WarmLayer::arrives(std::size_t slot, std::uint32_t expert) const {
  const std::size_t rank = slot / problem_.slots_per_rank;
  return prices_[rank * problem_.experts() + expert] > 0 ? 1 : 0;
}

MoveReason WarmLayer::reason(std::size_t slot, std::uint32_t expert, std::uint32_t replaced,
                             double before, double after) const {
  const std::size_t rank = slot / problem_.slots_per_rank;
  const bool on_node = on_node_of(rank, ExpertId(expert));
  return {.layer = problem_.layer,
          .expert = ExpertId(expert),
          .rank = RankId(rank),
          .replaced = ExpertId(replaced),
          .link = on_node ? LinkClass::kIntraNode : LinkClass::kInterNode,
          .imbalance_before = before,
          .imbalance_after = after};
}

bool WarmLayer::on_node_of(std::size_t rank, ExpertId expert) const {
  for (std::size_t g = 0; g < problem_.held.size(); ++g) {
    const auto& held = problem_.held[g];
    if (problem_.node_of[g] != problem_.node_of[rank]) continue;
    if (std::find(held.begin(), held.end(), expert) != held.end()) return true;
  }
  return false;
}

/// Why every replica that arrives did so: the last step that put it on its rank.
std::vector<MoveReason> WarmLayer::reasons(std::size_t prefix,
                                           std::span<const ExpertId> final_slots) const {
  std::vector<MoveReason> all;
  std::vector<std::uint32_t> experts = search_.placement_after(0);
  double before = search_.start_risk();
  for (std::size_t slot = 0; slot < experts.size(); ++slot) {
    if (arrives(slot, experts[slot]) > 0) {
      all.push_back(reason(slot, experts[slot], ExpertId::none().value(), before, before));
    }
  }
  for (std::size_t i = 0; i < prefix; ++i) {
    const SearchStep& step = search_.steps()[i];
    const std::uint32_t replaced = experts[step.slot];
    if (step.other) {
      std::swap(experts[step.slot], experts[*step.other]);
      all.push_back(reason(*step.other, replaced, experts[step.slot], before, step.risk_after));
    } else {
      experts[step.slot] = step.expert;
    }
    all.push_back(reason(step.slot, experts[step.slot], replaced, before, step.risk_after));
    before = step.risk_after;
  }
  return last_of_each(all, final_slots);
}

std::vector<MoveReason> WarmLayer::reasons_of_rebuilding() const {
  const std::vector<std::uint32_t> start = search_.placement_after(0);
  std::vector<MoveReason> all;
  for (std::size_t slot = 0; slot < rebuilt_.size(); ++slot) {
    if (arrives(slot, rebuilt_[slot]) <= 0) continue;
    all.push_back(reason(slot, rebuilt_[slot], start[slot], search_.start_risk(), rebuilt_risk_));
  }
  return all;
}

std::vector<MoveReason> WarmLayer::last_of_each(std::span<const MoveReason> all,
                                                std::span<const ExpertId> final_slots) const {
  std::vector<MoveReason> kept;
  const std::size_t k = problem_.slots_per_rank;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const MoveReason& move = all[i];
    const std::size_t rank = move.rank.index();
    if (prices_[rank * problem_.experts() + move.expert.index()] <= 0) continue;
    const auto now = final_slots.subspan(rank * k, k);
    if (std::find(now.begin(), now.end(), move.expert) == now.end()) continue;
    const bool again = std::any_of(all.begin() + static_cast<std::ptrdiff_t>(i) + 1, all.end(),
                                   [&](const MoveReason& later) {
                                     return later.rank == move.rank && later.expert == move.expert;
                                   });
    if (!again) kept.push_back(move);
  }
  return kept;
}

}  // namespace moeshift
