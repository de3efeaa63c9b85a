// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/option_value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift::cli {
namespace {

[[noreturn]] void expected(const std::string& option, std::string_view what,
                           const std::string& word) {
  throw InputError(option, fmt::format("expected {}, got '{}'", what, word));
}

constexpr std::array<std::pair<std::string_view, double>, 11> kByteUnits = {{
    {"", 1.0},
    {"B", 1.0},
    {"kB", 1e3},
    {"KB", 1e3},
    {"MB", 1e6},
    {"GB", 1e9},
    {"TB", 1e12},
    {"KiB", 0x1p10},
    {"MiB", 0x1p20},
    {"GiB", 0x1p30},
    {"TiB", 0x1p40},
}};

}  // namespace

std::size_t parse_count(const std::string& option, const std::string& word) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool whole = end == word.data() + word.size() && error != std::errc::invalid_argument;
  if (!whole) expected(option, "a whole number >= 0", word);
  if (error != std::errc{} || value > (1ULL << 53U)) {
    expected(option, "a whole number of at most 2^53", word);
  }
  return value;
}

double parse_number(const std::string& option, const std::string& word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || !std::isfinite(value)) {
    expected(option, "a number", word);
  }
  return value;
}

std::vector<RankId> parse_ranks(const std::string& option, const std::vector<std::string>& words) {
  std::vector<RankId> ranks;
  for (const std::string& word : words) {
    RankId::Rep rank = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), rank);
    if (error != std::errc{} || end != word.data() + word.size()) {
      expected(option, "ranks as 3,7", word);
    }
    ranks.emplace_back(rank);
  }
  return ranks;
}

Bytes parse_bytes(const std::string& option, const std::string& word) {
  constexpr std::string_view kExpectation = "bytes such as 512, 44MB or 1.5GiB";
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || !std::isfinite(value) || value < 0) {
    expected(option, kExpectation, word);
  }
  const std::string_view unit(end, static_cast<std::size_t>(word.data() + word.size() - end));
  for (const auto& [name, factor] : kByteUnits) {
    if (unit != name) continue;
    const double bytes = value * factor;
    if (bytes > 0x1p62 || (factor == 1.0 && std::floor(bytes) != bytes)) break;
    return Bytes(std::llround(bytes));
  }
  expected(option, kExpectation, word);
}

std::vector<std::size_t> parse_counts(const std::string& option,
                                      const std::vector<std::string>& words) {
  std::vector<std::size_t> counts;
  for (const std::string& word : words) {
    const std::size_t count = parse_count(option, word);
    if (count == 0) throw InputError(option, "expected numbers of at least 1, got '0'");
    if (std::find(counts.begin(), counts.end(), count) != counts.end()) {
      throw InputError(option, fmt::format("{} is named twice", count));
    }
    counts.push_back(count);
  }
  return counts;
}

}  // namespace moeshift::cli
