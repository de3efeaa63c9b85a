// SPDX-License-Identifier: Apache-2.0
// Random mutations of texts, with pieces that break parsers.
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "moeshift/core/rng.hpp"

namespace moeshift::test {

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Pieces that break parsers.
inline constexpr std::array<std::string_view, 18> kPieces{"-1",
                                                          "1e999",
                                                          "9007199254740993",
                                                          "18446744073709551616",
                                                          "0.5",
                                                          "null",
                                                          "[",
                                                          "]",
                                                          "{",
                                                          "}",
                                                          "\"",
                                                          "\\u0000",
                                                          "\xff",
                                                          "\n",
                                                          "NaN",
                                                          "\"step\":1,",
                                                          "[[[[[[[[",
                                                          "-0"};

inline std::string mutated(std::string text, Rng& rng) {
  const std::uint32_t rounds = 1 + rng.below(4);
  for (std::uint32_t i = 0; i < rounds && !text.empty(); ++i) {
    const auto at = rng.below(static_cast<std::uint32_t>(text.size()));
    const auto length = std::min<std::size_t>(rng.below(24), text.size() - at);
    switch (rng.below(6)) {
      case 0:
        text[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, kPieces[rng.below(kPieces.size())]);
        break;
      case 3:
        text.insert(rng.below(static_cast<std::uint32_t>(text.size())), text.substr(at, length));
        break;
      case 4:
        text.resize(at);
        break;
      default:
        text.replace(at, length, kPieces[rng.below(kPieces.size())]);
    }
  }
  return text;
}

}  // namespace moeshift::test
