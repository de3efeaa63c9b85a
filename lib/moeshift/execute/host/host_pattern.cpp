// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/host/host_pattern.hpp"

#include <bit>
#include <cstring>

namespace moeshift {
namespace {

constexpr std::uint64_t kBlock = 512;  // words per comparison before anything is named

static_assert(std::endian::native == std::endian::little, "the pattern is defined little endian");

std::uint64_t word_at(const std::byte* in, std::uint64_t index) {
  std::uint64_t word = 0;
  std::memcpy(&word, in + index * 8, 8);
  return word;
}

// No branch in the loop, so that it runs as fast as memory delivers.
bool block_differs(const std::byte* in, std::uint64_t key, std::uint64_t first,
                   std::uint64_t count) {
  std::uint64_t difference = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    difference |= word_at(in, i) ^ pattern_word(key, first + i);
  }
  return difference != 0;
}

void count_wrong(PatternCheck& check, std::uint64_t difference, std::uint64_t offset) {
  for (std::uint64_t byte = 0; byte < 8; ++byte) {
    if (((difference >> (8 * byte)) & 0xffU) == 0) continue;
    if (check.wrong_bytes == 0) check.first_offset = offset + byte;
    ++check.wrong_bytes;
  }
}

}  // namespace

void write_pattern(std::byte* out, std::uint64_t key, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t word = pattern_word(key, first + i);
    std::memcpy(out + i * 8, &word, 8);
  }
}

PatternCheck check_pattern(const std::byte* in, std::uint64_t key, std::uint64_t first,
                           std::uint64_t count) {
  PatternCheck check;
  for (std::uint64_t start = 0; start < count; start += kBlock) {
    const std::uint64_t words = count - start < kBlock ? count - start : kBlock;
    if (!block_differs(in + start * 8, key, first + start, words)) continue;
    for (std::uint64_t i = start; i < start + words; ++i) {
      count_wrong(check, word_at(in, i) ^ pattern_word(key, first + i), i * 8);
    }
  }
  return check;
}

}  // namespace moeshift
