// SPDX-License-Identifier: Apache-2.0
// Steps and tokens that several processes wrote down each. Internal to formats/.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
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

/// Remembers which tokens chose which experts: 32 bytes each.
///
/// Several tensor-parallel ranks that log the same tokens make every repeated token choose the same
/// experts. Where most choose others, their numbers began anew with a pass or a batch: those are
/// tokens of their own, also the few that choose the same (the first token of every prompt does).
class RepeatedTokens {
 public:
  /// @param token what names it in its layer. @return whether it chose `experts` before.
  bool seen(std::int64_t layer, std::string_view token, std::span<const double> experts);
  /// Whether tokens that were seen are the same tokens once more.
  [[nodiscard]] bool are_copies() const;
  /// What is to be said of it; nothing where no token is there twice.
  [[nodiscard]] std::string note() const;

 private:
  std::unordered_set<std::uint64_t> tokens_, choices_;
  std::size_t repeated_ = 0;
  std::size_t same_ = 0;
};

/// A hash of all loads, for telling equal steps.
[[nodiscard]] std::uint64_t hash_of(const LoadMatrix& load);

}  // namespace moeshift
