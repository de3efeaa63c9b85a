// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/shuffle_progress.hpp"

#include <vector>

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

TEST_CASE("Repetitions of a rearrangement add up to one work that is whole at their end") {
  const ShuffleWork work{.prepare = 30, .write = 10, .move = 4, .compare = 2, .repetitions = 10};
  CHECK(work.whole() == Approx(100));
  std::vector<double> told;
  std::string last;
  ShuffleProgress progress(work, [&](std::string_view what, double done) {
    told.push_back(done);
    last = what;
  });
  const auto tell = [&](const char* what, std::size_t total) {
    for (std::size_t i = 1; i <= total; ++i) progress.progressed(RankId(0), what, i, total);
  };
  tell("preparing memory", 3);
  CHECK(told.back() == Approx(30));
  tell("writing weights (layers)", 2);
  CHECK(told.back() == Approx(40));
  progress.progressed(RankId(1), "moving experts (batches)", 4, 4);
  CHECK(told.size() == 5);
  for (int repetition = 0; repetition < 10; ++repetition) {
    tell("moving experts (batches)", repetition % 2 == 0 ? 4 : 1);
    tell("comparing every byte (layers)", 2);
    CHECK(told.back() == Approx(40 + 6 * (repetition + 1)));
  }
  CHECK(last == "comparing every byte, 10 of 10 times");
  for (std::size_t i = 1; i < told.size(); ++i) CHECK(told[i] >= told[i - 1]);
}
