// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/ranking.hpp"

#include <vector>

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

/// A difference that is certain when it is more than `noise`.
PairedDifference difference(double mean, double noise) {
  return {.mean = mean,
          .low = mean - noise,
          .high = mean + noise,
          .pairs = 20,
          .block = 1,
          .method = IntervalMethod::kBootstrap};
}

Ranking ranked(const std::vector<Tradeoff>& rows, double noise) {
  return ranking_of(rows, [&](std::size_t a, std::size_t b) {
    return difference(rows[a].value - rows[b].value, noise);
  });
}

/// The cheapest of equals by cost.
std::size_t advised(const std::vector<Tradeoff>& rows, double noise, double within = 100) {
  const Ranking ranking = ranked(rows, noise);
  return cheapest_of_equals(
      ranking,
      [&](std::size_t row) { return rows[row].value >= rows[ranking.best].value - within; },
      [&](std::size_t a, std::size_t b) { return rows[a].cost < rows[b].cost; });
}

}  // namespace

TEST_CASE("The best has the highest value, and of equal ones is the first") {
  const Ranking ranking = ranked({{1, 0}, {3, 0}, {2, 0}, {3, 0}}, 0.1);
  CHECK(ranking.best == 1);
  CHECK(ranking.runner_up == 3U);
  CHECK(ranking.behind[0].mean == 2);
  CHECK(ranking.behind[1].mean == 0);
}

TEST_CASE("Whom chance may have put behind the best is tied with it, the most valuable first") {
  const Ranking ranking = ranked({{1, 0}, {2.5, 0}, {3, 0}, {2.8, 0}}, 0.6);
  CHECK(ranking.best == 2);
  CHECK(ranking.tied == std::vector<std::size_t>{3, 1});
}

TEST_CASE("One that is alone is the best, with nobody behind it") {
  const Ranking ranking = ranked({{1, 5}}, 0.1);
  CHECK(ranking.best == 0);
  CHECK_FALSE(ranking.runner_up.has_value());
  CHECK(ranking.tied.empty());
}

TEST_CASE("Of equals the cheapest is advised, and of equally cheap ones the first") {
  CHECK(advised({{3, 9}, {2.9, 4}, {2.8, 4}, {2.9, 6}}, 0.5) == 1);
  CHECK(advised({{3, 4}, {2.9, 4}}, 0.5) == 0);
}

TEST_CASE("Who is certainly behind is not advised, however cheap") {
  CHECK(advised({{3, 9}, {2, 1}}, 0.5) == 0);
}

TEST_CASE("Who may be as good but is far behind is not advised") {
  CHECK(advised({{3, 9}, {2.9, 4}, {2.6, 1}}, 0.5, 0.2) == 1);
}
