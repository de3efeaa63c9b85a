// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/held_out.hpp"

#include <span>
#include <vector>

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

LoadMatrix load_of(std::vector<double> experts) {
  LoadMatrix load(1, experts.size());
  std::copy(experts.begin(), experts.end(), load.items().begin());
  return load;
}

Placement placement_of(const std::vector<std::uint32_t>& experts, std::size_t ranks = 2) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(1, experts.size());
  for (std::size_t i = 0; i < experts.size(); ++i) {
    slots(LayerId(0), SlotId(i)) = ExpertId(experts[i]);
  }
  return {4, ranks, std::move(slots)};
}

/// Plans the same placement whatever it is asked.
class Fixed final : public Planner {
 public:
  explicit Fixed(Placement placement) : placement_(std::move(placement)) {}
  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads, Progress&) const override {
    seen.push_back(problem.load(LayerId(0), ExpertId(0)));
    return {placement_, std::vector<LayerVerdict>(problem.layers())};
  }
  mutable std::vector<double> seen;  ///< load of the first expert of every problem

 private:
  Placement placement_;
};

Comparison comparison_on(std::vector<LoadMatrix> test) {
  return {.train = {.load = load_of({4, 3, 2, 1}), .topology = Topology(2, 1), .slots = 4},
          .test = std::move(test),
          .before = {},
          .from = {},
          .cluster = {},
          .expert_sizes = {}};
}

ComparisonRow row_with(std::vector<double> scores, double transfers) {
  ComparisonRow row;
  row.scores = std::move(scores);
  row.transfers = transfers;
  return row;
}

}  // namespace

TEST_CASE("A policy is scored on windows that it has not seen, one by one") {
  const Comparison comparison = comparison_on({load_of({4, 3, 2, 1}), load_of({1, 1, 1, 5})});
  const Fixed planner(placement_of({0, 3, 1, 2}));
  NoProgress progress;
  const ComparisonRow row = try_policy(comparison, "fixed", planner, Threads{1}, progress);
  CHECK(planner.seen == std::vector<double>{4});  // the training load and nothing else
  REQUIRE(row.scores.size() == 2);
  CHECK(row.scores[0] == Approx(1.0));
  CHECK(row.scores[1] == Approx(4.0 / 6.0));
  CHECK(row.transfers == 2);  // expert 3 to rank 0, expert 1 to rank 1
  CHECK(row.transfers_beyond_node == 0);
  CHECK(row.mean_score() == Approx((1.0 + 4.0 / 6.0) / 2));
  CHECK(row.worst_score() == Approx(4.0 / 6.0));
}

TEST_CASE("where ranks differ in speed a policy is scored and bounded by times") {
  // Speeds 1 and 4 are 0.4 and 1.6 of their mean: 2 and 8 tokens take 5 each, the mean.
  Comparison comparison = comparison_on({load_of({4, 4, 1, 1})});
  comparison.train.load = load_of({4, 4, 1, 1});
  comparison.train.rank_speed = {1, 4};
  NoProgress progress;
  std::vector<ComparisonRow> rows;
  rows.push_back(
      try_policy(comparison, "a", Fixed(placement_of({2, 3, 0, 1})), Threads{1}, progress));
  rows.push_back(
      try_policy(comparison, "b", Fixed(placement_of({0, 2, 1, 3})), Threads{1}, progress));
  CHECK(rows[0].scores[0] == Approx(1.0));
  // 5 tokens each: 12.5 on the slow rank and 3.125 on the fast one.
  CHECK(rows[1].scores[0] == Approx((12.5 + 3.125) / 2 / 12.5));
  judge_rows(comparison, Threads{1}, rows);
  CHECK(rows[0].test.peak_load == Approx(5));
  CHECK(rows[0].test.gap_mean >= 0);
  CHECK(rows[0].test.gap_mean < 1e-9);
  CHECK(rows[1].test.gap_mean == Approx(1.5));
}

TEST_CASE("Rows are held against the tightest bound that any of them certifies") {
  Comparison comparison = comparison_on({load_of({4, 3, 2, 1})});
  NoProgress progress;
  std::vector<ComparisonRow> rows;
  rows.push_back(
      try_policy(comparison, "a", Fixed(placement_of({0, 1, 2, 3})), Threads{1}, progress));
  rows.push_back(
      try_policy(comparison, "b", Fixed(placement_of({0, 3, 1, 2})), Threads{1}, progress));
  judge_rows(comparison, Threads{1}, rows);
  CHECK(rows[0].test.balancedness == Approx(5.0 / 7.0));
  CHECK(rows[0].test.gap_max == Approx(7.0 / 5.0 - 1));
  CHECK(rows[1].test.gap_max == Approx(0.0).margin(1e-12));
}

TEST_CASE("A replay plans on the past alone and is judged by the window after") {
  const std::vector<LoadMatrix> windows = {load_of({1, 3, 2, 1}), load_of({4, 3, 2, 1}),
                                           load_of({9, 1, 1, 1})};
  const Comparison comparison = comparison_on(windows);
  const Fixed planner(placement_of({0, 3, 1, 2}));
  NoProgress progress;
  PolicyReplay replay(comparison, "fixed", planner, 1, 2);
  replay.judge(std::span(windows).first(1), windows[1], progress);
  replay.judge(std::span(windows).first(2), windows[2], progress);
  const ComparisonRow row = replay.row();
  CHECK(planner.seen == std::vector<double>{1, 4});
  REQUIRE(row.scores.size() == 2);
  CHECK(row.scores[0] == Approx(1.0));
  CHECK(row.scores[1] == Approx(6.0 / 10.0));
  CHECK(row.rearrangements == 1);
  CHECK(row.transfers == 0);  // the first plan leads away from the initial map and does not count
}

TEST_CASE("The 5th percentile of twenty scores is the lowest, of forty the second lowest") {
  std::vector<double> scores;
  for (int i = 1; i <= 40; ++i) scores.push_back(i);
  CHECK(row_with({scores.begin(), scores.begin() + 20}, 0).low_score() == 1);
  CHECK(row_with(scores, 0).low_score() == 2);
}

TEST_CASE("Standings name the best, the row it leads, and of equals the one that moves least") {
  const std::vector<double> good(20, 0.9);
  std::vector<double> near = good;
  for (std::size_t i = 0; i < near.size(); ++i) near[i] += i % 2 == 0 ? 0.01 : -0.0101;
  const std::vector<ComparisonRow> rows = {row_with(std::vector<double>(20, 0.5), 0),
                                           row_with(near, 3), row_with(good, 8), row_with(near, 3)};
  const Standings standings = standings_of(rows, 0, 1);
  CHECK(standings.best == 2);
  CHECK(standings.runner_up == 1U);
  CHECK(standings.behind[0].mean == Approx(0.4));
  CHECK(standings.differences[2].mean == Approx(0.4));
  CHECK(standings.differences[0].mean == Approx(0.0));
  CHECK(standings.tied == std::vector<std::size_t>{1, 3});
  CHECK(standings.thrifty == 1);
  CHECK(standings.pareto == std::vector<bool>{true, true, true, true});
}
