// SPDX-License-Identifier: Apache-2.0
// Every kind of document, as it is and mutated, under the ordinary suite.
#include "moeshift/core/rng.hpp"

#include "tests/fuzz/documents.hpp"
#include "tests/fuzz/mutated.hpp"
#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("documents of every kind are accepted as they are") {
  for (const test::DocumentKind& kind : test::document_kinds()) {
    INFO(kind.name);
    const auto seeds = kind.seeds();
    CHECK_FALSE(seeds.empty());
    for (std::size_t i = 0; i < seeds.size(); ++i) {
      INFO("seed document " << i);
      CHECK(kind.feed(seeds[i]));
    }
  }
}

TEST_CASE("mutated documents of every kind are accepted or refused and nothing else") {
  for (const test::DocumentKind& kind : test::document_kinds()) {
    const auto seeds = kind.seeds();
    std::size_t accepted = 0;
    constexpr std::uint64_t kMutations = 1000;
    for (std::uint64_t seed = 0; seed < kMutations; ++seed) {
      Rng rng = Rng::stream(21, seed);
      const std::string text =
          test::mutated(seeds[rng.below(static_cast<std::uint32_t>(seeds.size()))], rng);
      INFO(kind.name << ", seed " << seed);
      bool read = false;
      REQUIRE_NOTHROW(read = kind.feed(text));
      accepted += read ? 1U : 0U;
    }
    INFO(kind.name);
    CHECK(accepted < kMutations);
  }
}
