// SPDX-License-Identifier: Apache-2.0
// The pattern of pattern.hpp in host memory, at memory speed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "moeshift/execute/pattern.hpp"

namespace moeshift {

/// Words [first, first + count) of the tensor whose key is `key`, written at `out`.
void write_pattern(std::byte* out, std::uint64_t key, std::uint64_t first, std::uint64_t count);

/// Wrong bytes in a run of words, and where the first is (undefined when none).
struct PatternCheck {
  std::uint64_t wrong_bytes = 0;
  std::uint64_t first_offset = 0;  ///< bytes from the start of the run
};

/// Compares `count` words at `in` with words [first, first + count) of the pattern.
[[nodiscard]] PatternCheck check_pattern(const std::byte* in, std::uint64_t key,
                                         std::uint64_t first, std::uint64_t count);

}  // namespace moeshift
