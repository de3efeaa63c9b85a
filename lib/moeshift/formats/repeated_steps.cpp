// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/repeated_steps.hpp"

#include <bit>

#include <fmt/format.h>

namespace moeshift {

std::uint64_t hash_of(const LoadMatrix& load) {
  // FNV-1a over the bits of the numbers.
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const double tokens : load.items()) {
    hash = (hash ^ std::bit_cast<std::uint64_t>(tokens)) * 0x100000001b3U;
    hash ^= hash >> 29U;
  }
  return hash;
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

}  // namespace moeshift
