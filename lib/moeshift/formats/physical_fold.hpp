// SPDX-License-Identifier: Apache-2.0
// Loads of slots become loads of experts: what vLLM's recorders need. Internal to formats/.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moeshift/formats/json/json_document.hpp"

namespace moeshift {

/// physical_to_logical of one record, [layers][slots], -1 = a slot that holds nothing.
using SlotMap = std::vector<std::vector<std::int64_t>>;

/// @throws InputError unless `value` is an array of rows of one length of ids below kMostExperts.
[[nodiscard]] SlotMap slot_map(simdjson::dom::element value, const JsonPlace& place);

/// Tells maps apart; never 0.
[[nodiscard]] std::uint64_t hash_of(const SlotMap& map);

/// Every expert of a live map has a slot, so its largest id tells how many there are.
[[nodiscard]] std::size_t experts_of(const SlotMap& map);

/// Sums the loads of the slots of each expert.
/// @param physical [layers, slots], whole numbers.
/// @param load [layers, num_experts], overwritten.
/// @throws InputError for experts out of range, load in an empty slot, and sums beyond 2^53.
void fold_slots(const SlotMap& map, const LoadMatrix& physical, LoadMatrix& load,
                const JsonPlace& map_place);

}  // namespace moeshift
