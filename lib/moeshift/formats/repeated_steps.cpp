// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/repeated_steps.hpp"

#include <array>
#include <bit>
#include <functional>

#include <fmt/format.h>

namespace moeshift {
namespace {

constexpr double kCopies = 0.9;

/// FNV-1a over the bits of the numbers.
std::uint64_t hash_of(std::span<const double> numbers, std::uint64_t hash) {
  for (const double number : numbers) {
    hash = (hash ^ std::bit_cast<std::uint64_t>(number)) * 0x100000001b3U;
    hash ^= hash >> 29U;
  }
  return hash;
}

}  // namespace

std::uint64_t hash_of(const LoadMatrix& load) {
  return hash_of(load.items(), 0xcbf29ce484222325U);
}

bool RepeatedSteps::seen(std::int64_t number, const LoadMatrix& load) {
  const std::uint64_t hash = hash_of(load);
  const auto [known, is_new] = steps_.try_emplace(number, hash);
  if (is_new) return false;
  ++dropped_;
  if (known->second != hash) ++different_;
  return true;
}

void RepeatedSteps::note_in(std::vector<std::string>& notes) {
  if (dropped_ == 0) return;
  std::string text = fmt::format(
      "{} records repeat a step, as several data-parallel ranks write them: the first of each "
      "counts",
      dropped_);
  if (different_ > 0) {
    text += fmt::format(
        "; {} of them have other loads than the first (`sum-ranks` adds up files of "
        "several ranks)",
        different_);
  }
  if (!noted_) {
    at_ = notes.size();
    notes.emplace_back();
    noted_ = true;
  }
  notes[at_] = std::move(text);
}

bool RepeatedTokens::seen(std::int64_t layer, std::string_view token,
                          std::span<const double> experts) {
  const std::array number{static_cast<double>(layer)};
  const std::uint64_t name = hash_of(number, std::hash<std::string_view>()(token));
  const bool chose_before = !choices_.insert(hash_of(experts, name)).second;
  if (!tokens_.insert(name).second) ++repeated_;
  if (chose_before) ++same_;
  return chose_before;
}

bool RepeatedTokens::are_copies() const {
  return same_ > 0 && static_cast<double>(same_) >= kCopies * static_cast<double>(repeated_);
}

std::string RepeatedTokens::note() const {
  if (repeated_ == 0) return "";
  if (are_copies()) {
    return fmt::format(
        "{} routes repeat a token and layer with the same experts, as several "
        "tensor-parallel ranks write them: the first of each counts",
        same_);
  }
  return fmt::format(
      "{} routes repeat the number of a token in its layer, {} of them with other "
      "experts: they count as tokens of other passes or batches",
      repeated_, repeated_ - same_);
}

}  // namespace moeshift
