// SPDX-License-Identifier: Apache-2.0
// Strict readings of the words of a command line.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"

namespace moeshift::cli {

/// Each throws InputError "<option>: expected ..., got '<word>'".
[[nodiscard]] std::size_t parse_count(const std::string& option, const std::string& word);
[[nodiscard]] double parse_number(const std::string& option, const std::string& word);
/// One number per word, each at least 1 and none twice.
[[nodiscard]] std::vector<std::size_t> parse_counts(const std::string& option,
                                                    const std::vector<std::string>& words);
/// One rank per word, in the order given.
[[nodiscard]] std::vector<RankId> parse_ranks(const std::string& option,
                                              const std::vector<std::string>& words);
/// A whole number of bytes with an optional unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB,
/// GiB, TiB (powers of 1024). Fractions are fine when a unit follows ("1.5GiB").
[[nodiscard]] Bytes parse_bytes(const std::string& option, const std::string& word);

}  // namespace moeshift::cli
