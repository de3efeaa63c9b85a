// SPDX-License-Identifier: Apache-2.0
// A bare array as a trace, whatever it means. Internal to formats/.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/trace_format.hpp"

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

/// Loads, loads of slots (folded by options.map, else by the map beside them) or routes, as
/// meaning_of tells, or as the map beside them does: loads that have more columns than it has
/// experts are of slots.
/// @param name of the array in its archive; "" where it has none.
/// @throws InputError where map and loads do not fit, or tell of two meanings.
[[nodiscard]] std::unique_ptr<TraceReader> array_trace(std::unique_ptr<ArrayRows> array,
                                                       const TraceReadOptions& options,
                                                       const ArrayCompany& company = {},
                                                       std::string_view name = "");

}  // namespace moeshift
