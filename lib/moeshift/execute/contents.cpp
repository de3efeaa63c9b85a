// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/contents.hpp"

#include <algorithm>
#include <span>

#include "moeshift/core/error.hpp"

namespace moeshift {

std::vector<ExpertId> slots_after_waves(const LayerMoves& moves, const Placement& old,
                                        const Placement& next, LayerId layer, RankId rank,
                                        std::size_t waves) {
  MOESHIFT_CHECK(waves <= moves.waves.size());
  const bool whole = waves == moves.waves.size();
  const Placement& placement = whole ? next : old;
  std::vector<ExpertId> slots(std::max(old.slots_per_rank(), next.slots_per_rank()),
                              ExpertId::none());
  if (rank.index() < placement.ranks()) {
    const std::span<const ExpertId> row = placement.rank_slots(layer, rank);
    std::copy(row.begin(), row.end(), slots.begin());
  }
  for (std::size_t wave = 0; wave < waves && !whole; ++wave) {
    for (const LocalCopy& copy : moves.waves[wave].commit_copies) {
      if (copy.rank == rank) slots[copy.to.index] = copy.expert;
    }
    for (const Transfer& t : moves.waves[wave].transfers) {
      const bool direct = t.to.kind == Place::Kind::kLive;
      if (direct && t.destination == rank) slots[t.to.index] = t.expert;
    }
  }
  return slots;
}

}  // namespace moeshift
