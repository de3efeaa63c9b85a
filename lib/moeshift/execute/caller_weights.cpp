// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/caller_weights.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "moeshift/execute/pattern.hpp"

namespace moeshift {
namespace {

/// Four lanes, so that multiplications do not wait for each other.
constexpr std::size_t kLanes = 4;
constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;

std::uint64_t word_at(const std::byte* from, std::size_t bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, from, bytes);
  return word;
}

}  // namespace

std::uint64_t fingerprint_of(std::span<const std::byte> bytes) {
  std::array<std::uint64_t, kLanes> lanes{1, 2, 3, 4};
  std::size_t at = 0;
  const auto take = [&](std::size_t lane, std::uint64_t word) {
    lanes[lane] = (lanes[lane] ^ word) * kOdd;
    lanes[lane] ^= lanes[lane] >> 32U;
  };
  for (; at + kLanes * 8 <= bytes.size(); at += kLanes * 8) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      take(lane, word_at(bytes.data() + at + lane * 8, 8));
    }
  }
  for (std::size_t lane = 0; at < bytes.size(); at += 8, ++lane) {
    take(lane, word_at(bytes.data() + at, std::min<std::size_t>(8, bytes.size() - at)));
  }
  std::uint64_t all = mix_well(bytes.size());
  for (const std::uint64_t lane : lanes) all = mix_well(all ^ lane);
  return all;
}

std::uint64_t DeviceWeights::fingerprint(const std::byte* start, Bytes bytes) const {
  const auto count = static_cast<std::size_t>(bytes.count());
  const auto copy = std::make_unique_for_overwrite<std::byte[]>(count);
  read_(copy.get(), start, count);
  return fingerprint_of({copy.get(), count});
}

}  // namespace moeshift
