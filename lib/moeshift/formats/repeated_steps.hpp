// SPDX-License-Identifier: Apache-2.0
// Steps that several processes wrote down each. Internal to formats/.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// Remembers a number per step: 16 bytes each.
class RepeatedSteps {
 public:
  /// Whether `number` was seen before; counts it if so, and whether its load was another.
  bool seen(std::int64_t number, const LoadMatrix& load);
  /// Replaces what an earlier call said in `notes` by what is known now.
  void note_in(std::vector<std::string>& notes);

 private:
  std::unordered_map<std::int64_t, std::uint64_t> steps_;
  std::size_t dropped_ = 0;
  std::size_t different_ = 0;
  bool noted_ = false;
  std::size_t at_ = 0;  ///< of the note
};

/// A hash of all loads, for telling equal steps.
[[nodiscard]] std::uint64_t hash_of(const LoadMatrix& load);

}  // namespace moeshift
