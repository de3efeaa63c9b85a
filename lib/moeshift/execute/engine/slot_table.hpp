// SPDX-License-Identifier: Apache-2.0
// Live slots and staging places that change roles: a commit hands over memory instead of copying.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute/engine/rank_program.hpp"

namespace moeshift {

/// A live slot, by its number in [layers * slots per rank], or a staging place of a buffer set.
struct CellPlace {
  bool staged = false;
  std::size_t index = 0;
  auto operator<=>(const CellPlace&) const = default;
};

/// A commit as an exchange of cells. Worked out in advance: nothing in it depends on which cell a
/// place has at the time.
struct FlipPlan {
  struct Copy {
    CellPlace from;
    CellPlace to;  ///< whose cell, as it is before the flip, nobody reads any more
    Bytes bytes;
  };
  std::vector<Copy> copies;  ///< first: experts for two slots, or that stay where they were as well
  /// Then: the first takes the cell that the second has had before.
  std::vector<std::pair<CellPlace, CellPlace>> takes;
};

/// Follows the copies of a commit through and hands over cells wherever the cell's old owner does
/// not need its content any more. O(copies * log).
/// @param cell bytes of a slot and of a staging place
[[nodiscard]] FlipPlan plan_flip(std::span<const std::vector<ExpertCopy>> passes,
                                 std::int64_t cell);

/// Which cell of memory every live slot and every staging place of a rank is. All cells have one
/// size; each belongs to exactly one slot or place at any time.
class SlotTable {
 public:
  SlotTable(std::int64_t cell, std::vector<std::byte*> live,
            std::vector<std::vector<std::byte*>> staging)
      : cell_(cell), live_(std::move(live)), staging_(std::move(staging)) {}

  /// @param offset into the live area, or a set's staging area, as if it lay in one block.
  [[nodiscard]] std::byte* live_at(std::int64_t offset) const {
    return live_[static_cast<std::size_t>(offset / cell_)] + offset % cell_;
  }
  [[nodiscard]] std::byte* staging_at(std::int64_t offset, std::size_t set) const {
    return staging_[set][static_cast<std::size_t>(offset / cell_)] + offset % cell_;
  }
  [[nodiscard]] const std::vector<std::byte*>& live() const { return live_; }

  /// What makes a commit true: copies, then changes of the table of live slots.
  struct Flip {
    std::vector<CopyRequest> copies;
    std::vector<PointerChange> changes;
  };
  /// O(places that change).
  [[nodiscard]] Flip flip(const FlipPlan& plan, std::size_t set);

 private:
  [[nodiscard]] std::byte*& cell_of(const CellPlace& place, std::size_t set) {
    return place.staged ? staging_[set][place.index] : live_[place.index];
  }

  std::int64_t cell_;
  std::vector<std::byte*> live_;                  ///< [layers * slots per rank]
  std::vector<std::vector<std::byte*>> staging_;  ///< [sets][places]
};

}  // namespace moeshift
