// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/slot_table.hpp"

#include <array>
#include <set>

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

constexpr std::int64_t kCell = 64;

/// Three slots and two staging places; cells are told apart by their first byte.
struct Cells {
  std::array<std::array<std::byte, kCell>, 5> memory{};
  SlotTable table{kCell, {at(0), at(1), at(2)}, {{at(3), at(4)}}};

  std::byte* at(std::size_t i) { return memory[i].data(); }
  std::byte* slot(std::int64_t i) const { return table.live_at(i * kCell); }
  std::byte* place(std::int64_t i) const { return table.staging_at(i * kCell, 0); }

  SlotTable::Flip flip(const std::vector<std::vector<ExpertCopy>>& passes) {
    return table.flip(plan_flip(passes, kCell), 0);
  }

  /// Whatever happens, every cell has exactly one owner.
  void require_whole() {
    std::set<std::byte*> owned = {slot(0), slot(1), slot(2), place(0), place(1)};
    REQUIRE(owned.size() == 5);
  }
};

using Passes = std::vector<std::vector<ExpertCopy>>;

ExpertCopy copy(Area from, std::int64_t source, std::int64_t slot) {
  return {{from, source * kCell}, {Area::kLive, slot * kCell}, Bytes(kCell)};
}

}  // namespace

TEST_CASE("a staged expert goes live by handing over its cell") {
  Cells cells;
  const SlotTable::Flip flip = cells.flip(Passes{{copy(Area::kStaging, 0, 1)}});
  CHECK(flip.copies.empty());
  REQUIRE(flip.changes.size() == 1);
  CHECK(flip.changes[0].index == 1);
  CHECK(flip.changes[0].target == cells.at(3));
  CHECK(cells.slot(1) == cells.at(3));
  CHECK(cells.place(0) == cells.at(1));
  cells.require_whole();
}

TEST_CASE("slots of one rank that exchange experts exchange cells") {
  Cells cells;
  const SlotTable::Flip flip =
      cells.flip(Passes{{copy(Area::kLive, 0, 1)}, {copy(Area::kStaging, 0, 0)}});
  CHECK(flip.copies.empty());
  CHECK(cells.slot(1) == cells.at(0));
  CHECK(cells.slot(0) == cells.at(3));
  CHECK(cells.place(0) == cells.at(1));
  cells.require_whole();
}

TEST_CASE("an expert for two slots is copied once, into a cell that nobody reads") {
  Cells cells;
  const SlotTable::Flip flip =
      cells.flip(Passes{{copy(Area::kStaging, 1, 0), copy(Area::kStaging, 1, 2)}});
  REQUIRE(flip.copies.size() == 1);
  CHECK(flip.copies[0].from == cells.at(4));
  CHECK((flip.copies[0].to == cells.at(0) || flip.copies[0].to == cells.at(2)));
  CHECK(cells.slot(0) == cells.at(4));
  cells.require_whole();
}

TEST_CASE("an expert that stays where it was as well is copied") {
  Cells cells;
  const SlotTable::Flip flip = cells.flip(Passes{{copy(Area::kLive, 0, 2)}});
  REQUIRE(flip.copies.size() == 1);
  CHECK(flip.copies[0].from == cells.at(0));
  CHECK(flip.copies[0].to == cells.at(2));
  CHECK(cells.slot(0) == cells.at(0));
  cells.require_whole();
}

TEST_CASE("a copy of a copy is traced to where the expert was") {
  Cells cells;
  const SlotTable::Flip flip = cells.flip(Passes{
      {copy(Area::kStaging, 0, 0)}, {copy(Area::kLive, 0, 1)}, {copy(Area::kStaging, 1, 0)}});
  CHECK(flip.copies.empty());
  CHECK(cells.slot(1) == cells.at(3));
  CHECK(cells.slot(0) == cells.at(4));
  cells.require_whole();
}
