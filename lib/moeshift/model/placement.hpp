// SPDX-License-Identifier: Apache-2.0
// Which logical expert lives in which physical slot.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moeshift/core/matrix.hpp"

namespace moeshift {

/// physical_to_logical [layers, slots]; everything else is derived from it, never stored twice.
///
/// Invariants: slots divide evenly over ranks (slot s lives on rank s / slots_per_rank); every
/// entry is a logical expert or ExpertId::none() (a slot that holds nothing, on an inactive rank or
/// where a layer does without).
/// That every expert has a holder is asked by `uncovered()`, since a placement that lost a rank is
/// still a placement.
class Placement {
 public:
  /// @throws InputError when slots do not divide by ranks or an entry is out of range.
  Placement(std::size_t num_experts, std::size_t num_ranks,
            IdMatrix<LayerId, SlotId, ExpertId> physical_to_logical);

  [[nodiscard]] std::size_t layers() const { return slots_.rows(); }
  [[nodiscard]] std::size_t slots() const { return slots_.columns(); }
  [[nodiscard]] std::size_t experts() const { return num_experts_; }
  [[nodiscard]] std::size_t ranks() const { return num_ranks_; }
  [[nodiscard]] std::size_t slots_per_rank() const { return slots() / num_ranks_; }

  [[nodiscard]] RankId rank_of(SlotId slot) const {
    return RankId(slot.index() / slots_per_rank());
  }
  [[nodiscard]] SlotId first_slot(RankId rank) const {
    return SlotId(rank.index() * slots_per_rank());
  }

  [[nodiscard]] ExpertId operator()(LayerId layer, SlotId slot) const {
    return slots_(layer, slot);
  }
  [[nodiscard]] std::span<const ExpertId> layer(LayerId layer) const { return slots_.row(layer); }
  /// The slots of one rank in one layer, [slots_per_rank].
  [[nodiscard]] std::span<const ExpertId> rank_slots(LayerId layer, RankId rank) const {
    return slots_.row(layer).subspan(rank.index() * slots_per_rank(), slots_per_rank());
  }
  [[nodiscard]] const IdMatrix<LayerId, SlotId, ExpertId>& physical_to_logical() const {
    return slots_;
  }

  /// Replicas of every expert of a layer, [experts]; 0 = no holder.
  [[nodiscard]] std::vector<std::uint32_t> replica_counts(LayerId layer) const;
  /// The slots that hold each expert of a layer, ascending, [experts].
  [[nodiscard]] std::vector<std::vector<SlotId>> logical_to_physical(LayerId layer) const;
  /// Experts of a layer that no slot holds.
  [[nodiscard]] std::vector<ExpertId> uncovered(LayerId layer) const;
  /// Slots of a layer whose expert already sits on the same rank in a lower slot.
  [[nodiscard]] std::size_t duplicates(LayerId layer) const;

  bool operator==(const Placement&) const = default;

 private:
  std::size_t num_experts_;
  std::size_t num_ranks_;
  IdMatrix<LayerId, SlotId, ExpertId> slots_;
};

}  // namespace moeshift
