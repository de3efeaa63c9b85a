// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/slot_table.hpp"

#include <map>
#include <set>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

CellPlace place_of(const Address& address, std::int64_t cell) {
  MOESHIFT_CHECK(address.area == Area::kLive || address.area == Area::kStaging);
  return {address.area == Area::kStaging, static_cast<std::size_t>(address.offset / cell)};
}

/// Whose expert a written slot holds in the end, and how large it is.
struct Content {
  CellPlace origin;
  Bytes bytes;
};

std::map<CellPlace, Content> contents_after(std::span<const std::vector<ExpertCopy>> passes,
                                            std::int64_t cell) {
  std::map<CellPlace, Content> content;
  for (const std::vector<ExpertCopy>& pass : passes) {
    std::map<CellPlace, Content> written;
    for (const ExpertCopy& copy : pass) {
      const CellPlace from = place_of(copy.from, cell);
      const auto known = content.find(from);
      written[place_of(copy.to, cell)] = {known != content.end() ? known->second.origin : from,
                                          copy.bytes};
    }
    for (const auto& [to, what] : written) content[to] = what;
  }
  std::erase_if(content, [](const auto& entry) { return entry.first == entry.second.origin; });
  return content;
}

}  // namespace

FlipPlan plan_flip(std::span<const std::vector<ExpertCopy>> passes, std::int64_t cell) {
  const std::map<CellPlace, Content> content = contents_after(passes, cell);
  // Cells whose content goes elsewhere or is not needed: of written slots and of staging places.
  std::set<CellPlace> spare;
  std::set<CellPlace> staged;
  for (const auto& [slot, what] : content) {
    spare.insert(slot);
    if (what.origin.staged) staged.insert(what.origin);
  }
  spare.insert(staged.begin(), staged.end());
  FlipPlan plan;
  std::vector<CellPlace> copied;
  for (const auto& [slot, what] : content) {
    if (spare.erase(what.origin) > 0) {
      plan.takes.emplace_back(slot, what.origin);
    } else {
      copied.push_back(slot);
    }
  }
  for (const CellPlace& slot : copied) {
    MOESHIFT_CHECK(!spare.empty());
    const auto own = spare.find(slot);
    const auto taken = own != spare.end() ? own : spare.begin();
    plan.copies.push_back({content.at(slot).origin, *taken, content.at(slot).bytes});
    plan.takes.emplace_back(slot, *taken);
    spare.erase(taken);
  }
  MOESHIFT_CHECK(spare.size() == staged.size());
  auto free = spare.begin();
  for (const CellPlace& place : staged) plan.takes.emplace_back(place, *free++);
  return plan;
}

SlotTable::Flip SlotTable::flip(const FlipPlan& plan, std::size_t set) {
  Flip flip;
  for (const FlipPlan::Copy& copy : plan.copies) {
    flip.copies.push_back({cell_of(copy.from, set), cell_of(copy.to, set), copy.bytes});
  }
  std::vector<std::byte*> cells;
  for (const auto& [place, from] : plan.takes) cells.push_back(cell_of(from, set));
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const CellPlace& place = plan.takes[i].first;
    std::byte*& cell = cell_of(place, set);
    if (!place.staged && cell != cells[i]) flip.changes.push_back({place.index, cells[i]});
    cell = cells[i];
  }
  return flip;
}

}  // namespace moeshift
