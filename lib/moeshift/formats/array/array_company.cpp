// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/array/array_company.hpp"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_format.hpp"

namespace moeshift {
namespace {

bool contains_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(
      parts, [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

/// Whether each slot holds the expert of its own number.
bool is_identity(const Placement& map) {
  for (const LayerId layer : map.physical_to_logical().row_ids()) {
    const auto row = map.layer(layer);
    for (std::size_t slot = 0; slot < row.size(); ++slot) {
      if (row[slot].is_none() || row[slot].index() != slot) return false;
    }
  }
  return true;
}

/// The layers and columns that loads may have: [..., layers, columns], [layers, ranks, columns].
bool has_slots_of(const ArrayRows& array, const Placement& map) {
  const auto& shape = array.shape();
  const std::size_t n = shape.size();
  const auto fits = [&](std::size_t layers, std::size_t slots) {
    return layers == map.layers() && slots == map.slots();
  };
  return (n >= 2 && fits(shape[n - 2], shape[n - 1])) ||
         (n >= 3 && fits(shape[n - 3], shape[n - 2] * shape[n - 1]));
}

}  // namespace

MemberKind member_kind(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (contains_any(lower, {"logical_to_physical", "log2phy", "l2p", "logical2physical"})) {
    return MemberKind::kInverseMap;
  }
  if (contains_any(lower, {"physical_to_logical", "phy2log", "p2l", "physical2logical", "map",
                           "placement", "slot_experts"})) {
    return MemberKind::kMap;
  }
  if (!contains_any(lower, {"load", "count", "hotness"})) return MemberKind::kOther;
  if (contains_any(lower, {"logical"})) return MemberKind::kLogicalLoads;
  const bool physical = contains_any(lower, {"physical", "slot"}) || lower == "expert_load";
  return physical ? MemberKind::kPhysicalLoads : MemberKind::kLoads;
}

ArrayMeaning beside_map(const ArrayRows& array, const ArrayCompany& company, MemberKind kind) {
  const Placement& map = company.map->placement;
  const auto& shape = array.shape();
  const bool logical = kind == MemberKind::kLogicalLoads;
  const bool of_experts =
      shape.size() >= 2 && shape[shape.size() - 2] == map.layers() && shape.back() == map.experts();
  const bool of_slots = has_slots_of(array, map);
  if (of_slots && !logical && (!of_experts || is_identity(map))) return ArrayMeaning::kPhysical;
  if (of_slots && !logical) {
    if (kind == MemberKind::kPhysicalLoads) return ArrayMeaning::kPhysical;
    throw InputError(array.place(),
                     fmt::format("may be loads of experts, or of slots that {} beside it says the "
                                 "experts of; expected `as` loads or `as` physical",
                                 company.map_name));
  }
  // Loads of experts: those of other layers than the map, too.
  if (of_experts || (!of_slots && !shape.empty() && shape.back() == map.experts())) {
    return ArrayMeaning::kTold;
  }
  if (!of_slots) {
    throw InputError(
        array.place(),
        fmt::format("shape ({}) is neither of the experts nor of the slots of {} beside "
                    "it ({} layers x {} slots of {} experts); expected `as` loads, or "
                    "`as` physical with `map` PLACEMENT",
                    fmt::join(shape, ", "), company.map_name, map.layers(), map.slots(),
                    map.experts()));
  }
  throw InputError(array.place(),
                   fmt::format("has a column for each slot of {} beside it, which has {} experts, "
                               "and is called loads of experts; expected `as` loads or `as` "
                               "physical",
                               company.map_name, map.experts()));
}

}  // namespace moeshift
