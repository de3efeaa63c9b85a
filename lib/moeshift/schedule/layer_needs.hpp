// SPDX-License-Identifier: Apache-2.0
// What one layer needs so that one placement becomes another, before anybody chose who sends.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift {

/// A live slot that holds an expert: the rank and the rank's own slot number.
struct Holder {
  RankId rank;
  std::uint32_t slot = 0;

  auto operator<=>(const Holder&) const = default;
};

/// An expert that its rank holds already, in another slot.
struct LocalMove {
  RankId rank;
  ExpertId expert;
  std::uint32_t from = 0;
  std::uint32_t to = 0;
};

/// An expert that a rank does not hold yet, and the (lowest) slot of the rank that needs it.
struct Arrival {
  ExpertId expert;
  RankId rank;
  std::uint32_t slot = 0;

  auto operator<=>(const Arrival&) const = default;
};

struct LayerNeeds {
  std::vector<LocalMove> local;       ///< by rank, then slot written
  std::vector<Arrival> arrivals;      ///< by expert, then rank; each (expert, rank) once
  std::vector<Arrival> repeats;       ///< further slots of a rank that need an arriving expert
  std::vector<ExpertId> unreachable;  ///< needed, but without a live holder; ascending

  /// The holders of an expert, one per rank (its lowest slot), by rank.
  [[nodiscard]] std::span<const Holder> holders_of(ExpertId expert) const {
    return std::span(holders).subspan(
        first_holder[expert.index()],
        first_holder[expert.index() + 1] - first_holder[expert.index()]);
  }
  [[nodiscard]] bool unchanged() const { return local.empty() && arrivals.empty(); }

  std::vector<Holder> holders;              ///< by expert, then rank
  std::vector<std::uint32_t> first_holder;  ///< [experts + 1] into `holders`
};

/// Compares one layer of two placements; slot i of a rank is the same memory in both.
///
/// Slots that hold nothing in `next` need nothing. Ranks of `next` that `old` does not have hold
/// nothing yet, nor do `dead` ranks: their replicas are neither sources nor kept.
/// O(slots * slots_per_rank + experts).
[[nodiscard]] LayerNeeds find_needs(const Placement& old, const Placement& next, LayerId layer,
                                    const IdVector<RankId, bool>& dead);

}  // namespace moeshift
