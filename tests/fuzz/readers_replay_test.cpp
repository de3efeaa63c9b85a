// SPDX-License-Identifier: Apache-2.0
// The fuzz corpus, and random mutations of it, under the ordinary suite.
#include <algorithm>
#include <filesystem>
#include <vector>

#include "moeshift/core/rng.hpp"

#include "tests/fuzz/mutated.hpp"
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

}  // namespace

TEST_CASE("seeds called good are read and seeds called bad are refused") {
  std::size_t good = 0;
  for (const auto& path : corpus()) {
    INFO(path.filename().string());
    const bool expected = path.filename().string().rfind("good_", 0) == 0;
    CHECK(test::feed_readers(test::text_of(path)) == expected);
    good += expected ? 1 : 0;
  }
  CHECK(good >= 8);
}

TEST_CASE("mutated files are read or refused and nothing else") {
  const auto files = corpus();
  std::size_t read = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    Rng rng(seed);
    const std::string text = test::mutated(
        test::text_of(files[rng.below(static_cast<std::uint32_t>(files.size()))]), rng);
    INFO("seed " << seed);
    bool accepted = false;
    CHECK_NOTHROW(accepted = test::feed_readers(text));
    read += accepted ? 1 : 0;
  }
  CHECK(read > 0);
  CHECK(read < 4000);
}
