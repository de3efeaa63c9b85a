// SPDX-License-Identifier: Apache-2.0
// What one layer needs so that one placement becomes another, before anybody chose who sends.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift {

/// What every live slot of one layer holds: [ranks, slots_per_rank], the slot ids being the ranks'
/// own slot numbers, in the larger of two worlds.
using LayerSlots = IdMatrix<RankId, SlotId, ExpertId>;

/// The slots of `placement`, padded with nothing to `ranks` ranks of `slots_per_rank`. Dead ranks
/// hold nothing.
[[nodiscard]] LayerSlots layer_slots(const Placement& placement, LayerId layer, std::size_t ranks,
                                     std::size_t slots_per_rank,
                                     const IdVector<RankId, bool>& dead);

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
  /// The same, of those that give the expert up.
  [[nodiscard]] bool leaves(ExpertId expert, std::size_t holder) const {
    return leaving[first_holder[expert.index()] + holder] != 0;
  }
  [[nodiscard]] bool unchanged() const { return local.empty() && arrivals.empty(); }
  /// How long an expert keeps a port busy, in units of its own for each layer.
  [[nodiscard]] std::int64_t weight(ExpertId expert) const {
    return weights.empty() ? 1 : weights[expert.index()];
  }

  std::vector<std::int64_t> weights;        ///< [experts] bytes; empty: all are alike
  std::vector<Holder> holders;              ///< by expert, then rank
  std::vector<std::uint32_t> first_holder;  ///< [experts + 1] into `holders`
  /// [holders] 1 where the rank holds the expert no more afterwards.
  std::vector<std::uint8_t> leaving;
};

/// Compares two states of a layer, both [ranks, slots_per_rank]; slot i of a rank is the same
/// memory in both. Slots that hold nothing in `next` need nothing. O(slots * slots_per_rank +
/// experts).
[[nodiscard]] LayerNeeds find_needs(const LayerSlots& old, const LayerSlots& next,
                                    std::size_t experts);

}  // namespace moeshift
