// SPDX-License-Identifier: Apache-2.0
// The fuzz corpus, and random mutations of it, under the ordinary suite.
#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <vector>

#include "moeshift/core/rng.hpp"

#include "tests/fuzz/readers.hpp"
#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

std::vector<std::filesystem::path> corpus() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(test::source_path("tests/fuzz/corpus"))) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Pieces that break parsers.
constexpr std::array<std::string_view, 18> kPieces{"-1",
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

std::string mutated(std::string text, Rng& rng) {
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

}  // namespace

TEST_CASE("seeds called good are read and seeds called bad are refused") {
  std::size_t good = 0;
  for (const auto& path : corpus()) {
    INFO(path.filename().string());
    const bool expected = path.filename().string().rfind("good_", 0) == 0;
    CHECK(test::feed_readers(text_of(path)) == expected);
    good += expected ? 1 : 0;
  }
  CHECK(good >= 8);
}

TEST_CASE("mutated files are read or refused and nothing else") {
  const auto files = corpus();
  std::size_t read = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    Rng rng(seed);
    const std::string text =
        mutated(text_of(files[rng.below(static_cast<std::uint32_t>(files.size()))]), rng);
    INFO("seed " << seed);
    bool accepted = false;
    CHECK_NOTHROW(accepted = test::feed_readers(text));
    read += accepted ? 1 : 0;
  }
  CHECK(read > 0);
  CHECK(read < 4000);
}
