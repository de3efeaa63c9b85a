// SPDX-License-Identifier: Apache-2.0
// What a bare array of numbers can be: loads, loads of slots, routes of tokens, a map. Internal to
// formats/.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/read_options.hpp"

namespace moeshift {

/// What speaks for each meaning; empty = nothing does.
struct ArrayEvidence {
  std::string loads;
  std::string physical;
  std::string routing;
  std::string map;
  bool surely_routing = false;  ///< it would be strange of loads, and nothing in it is padding
};

/// Looks at whole rows of the array's beginning.
///
/// Loads: the layers of a step have equal totals, since each token chooses k experts in each layer.
/// Physical: only the totals over all ranks of a layer are equal. Routing: few numbers a row, never
/// the same twice in a row, small. Map: -1, or every row holds every number up to its largest.
[[nodiscard]] ArrayEvidence evidence_of(std::span<const std::size_t> shape,
                                        std::span<const double> rows);

/// Whether nothing was routed: 0 or -1 throughout.
[[nodiscard]] bool is_unrouted(std::span<const double> row);

/// The layers of routes [tokens, layers, k] whose rows are all 0 or -1 in every token of its
/// beginning: dense ones, since engines (vLLM, SGLang) allocate such rows for every hidden layer
/// and fill in the MoE layers. A row of zeros is no route where k > 1; where k is 1 at least 8
/// tokens have to say so. Empty where no layer has anything else. Nothing is consumed.
[[nodiscard]] std::vector<std::size_t> unrouted_layers(ArrayRows& array);

/// The meaning of `array`: the one asked for, or the only one that its evidence allows.
/// @throws InputError where two are possible, saying what speaks for each, and where the numbers
/// cannot be what was asked for.
[[nodiscard]] ArrayMeaning meaning_of(ArrayRows& array, ArrayMeaning asked);

}  // namespace moeshift
