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

/// The layers of loads with a column for each slot of `map`: [..., layers, columns], [layers,
/// ranks, columns]. Those of the map where it may be either; none where no columns are its slots.
std::optional<std::size_t> layers_of_slots(const ArrayRows& array, const Placement& map) {
  const auto& shape = array.shape();
  const std::size_t n = shape.size();
  std::optional<std::size_t> layers;
  if (n >= 3 && shape[n - 2] * shape[n - 1] == map.slots()) layers = shape[n - 3];
  if (n >= 2 && shape[n - 1] == map.slots() && layers != map.layers()) layers = shape[n - 2];
  return layers;
}

[[noreturn]] void refuse_other_layers(const ArrayRows& array, const ArrayCompany& company,
                                      std::size_t layers) {
  const Placement& map = company.map->placement;
  throw InputError(
      array.place(),
      fmt::format("has a column for each slot of {} beside it, which is of {} layers x {} slots, "
                  "and these are of {} x {}: expected the map of these layers, or layer_ids that "
                  "say which of its rows they are; `as` loads where the columns are experts",
                  company.map_name, map.layers(), map.slots(), layers, map.slots()));
}

}  // namespace

MemberKind member_kind(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (contains_any(lower, {"logical_to_physical", "logical_to_all_physical", "log2phy", "l2p",
                           "logical2physical"})) {
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
  const std::optional<std::size_t> layers = layers_of_slots(array, map);
  const bool of_slots = layers == map.layers();
  // As many experts as slots, each in its own: slots are experts.
  const bool either = map.slots() == map.experts() && is_identity(map);
  if (layers && !of_slots && !logical && !either) refuse_other_layers(array, company, *layers);
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
