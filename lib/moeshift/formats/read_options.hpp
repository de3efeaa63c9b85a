// SPDX-License-Identifier: Apache-2.0
// What a recording does not say of itself and its reader has to know.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace moeshift {

struct PlacementFile;

/// What the numbers of a bare array are.
enum class ArrayMeaning {
  kTold,      ///< whatever shape and values tell; an error where they tell of two
  kLoads,     ///< [steps, layers, experts] or [layers, experts] tokens
  kPhysical,  ///< [(steps,) layers, ranks, slots of a rank] or [steps, layers, slots] tokens
  kRouting,   ///< [tokens, layers, k] experts
  kMap,       ///< a placement: no loads at all
};

/// "told", "loads", "physical", "routing", "map". @throws InputError for any other word.
[[nodiscard]] ArrayMeaning array_meaning(std::string_view name);

/// What the readers of a trace looked at.
struct HeededOptions {
  bool as = false;
  bool map = false;
  bool model = false;
};

struct TraceReadOptions {
  ArrayMeaning as = ArrayMeaning::kTold;
  /// Of formats that list only experts that were chosen. A contradiction with the file is an error.
  std::optional<std::size_t> num_experts;
  /// Of the model that is planned for: taken where nothing else says it, and never compared.
  std::optional<std::size_t> likely_experts;
  /// What loads are multiplied by before they are rounded; 0 = they must be whole.
  double scale = 0;
  /// Which of several models in one file; empty = there must be one.
  std::string model;
  /// Tokens of one step, where the file has tokens and no steps.
  std::size_t tokens_per_step = 1024;
  /// The placement under which physical loads were counted; null = the file has its own.
  const PlacementFile* map = nullptr;
  /// Where readers note what they looked at, if anybody asks.
  std::shared_ptr<HeededOptions> heeded = {};
};

}  // namespace moeshift
