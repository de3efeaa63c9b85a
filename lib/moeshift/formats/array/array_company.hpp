// SPDX-License-Identifier: Apache-2.0
// What lies beside an array in its archive, and what that says of it. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/read_options.hpp"

namespace moeshift {

/// What lies beside an array in its archive.
struct ArrayCompany {
  std::vector<std::int64_t> layer_ids = {};  ///< of the layers of the array; empty = not said
  std::vector<std::string> notes = {};
  std::optional<std::size_t> num_ranks = {};
  std::optional<std::size_t> top_k = {};
  /// What each slot holds, for loads of slots; null = nothing lies beside.
  std::shared_ptr<const PlacementFile> map = {};
  std::string map_name = {};
};

/// How a member of an archive is called that lies beside loads.
enum class MemberKind {
  kOther,
  kLoads,          ///< of experts or of slots
  kLogicalLoads,   ///< of experts, surely
  kPhysicalLoads,  ///< of slots, surely
  kMap,            ///< the expert of each slot
  kInverseMap,     ///< the slots of each expert: not enough to fold loads of slots by
};
[[nodiscard]] MemberKind member_kind(std::string_view name);

/// What the numbers of `array` are by the map beside it: loads of slots, or kTold where the map
/// does not fit them. @param company with a map.
/// @throws InputError where they may be loads of experts or of slots, and where they are called the
/// one and have the shape of the other.
[[nodiscard]] ArrayMeaning beside_map(const ArrayRows& array, const ArrayCompany& company,
                                      MemberKind kind);

}  // namespace moeshift
