// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/believed_load.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

using test::balancedness;
using test::moved_between;

constexpr std::size_t kLayers = 4;

/// What experts are asked for, `each` tokens on average.
LoadMatrix law(std::size_t experts, double each) {
  LoadMatrix load = test::lognormal_load(kLayers, experts, 0.8, 17);
  for (const LayerId layer : load.row_ids()) {
    const double scale = each * static_cast<double>(experts) / layer_total(load, layer);
    for (double& tokens : load.row(layer)) tokens *= scale;
  }
  return load;
}

LoadMatrix counted(const LoadMatrix& expected, std::uint64_t seed) {
  LoadMatrix load = expected;
  Rng rng(seed);
  for (double& tokens : load.items()) {
    tokens = std::max(0.0, std::round(tokens + std::sqrt(tokens) * rng.normal()));
  }
  return load;
}

Placement plan_by(const char* policy, const PlanProblem& problem) {
  NoProgress quiet;
  return make_planner(policy)->plan(problem, Threads{1}, quiet).placement;
}

struct Shape {
  std::size_t experts, ranks, slots_per_rank;
};

PlanProblem problem_on(const LoadMatrix& load, const Shape& shape) {
  return {.load = load,
          .samples = {},
          .topology = Topology(shape.ranks, 2),
          .slots = shape.ranks * shape.slots_per_rank};
}

TEST_CASE("incremental does not chase the noise of its one window") {
  for (const Shape& shape : {Shape{256, 144, 2}, Shape{256, 32, 9}, Shape{64, 16, 5}}) {
    for (const double tokens : {24.0, 200.0}) {
      INFO(shape.ranks << " x " << shape.slots_per_rank << ", tokens " << tokens);
      const LoadMatrix expected = law(shape.experts, tokens);
      const Placement old = plan_by("balanced", problem_on(expected, shape));
      PlanProblem problem = problem_on(counted(expected, 3), shape);
      problem.old = &old;
      const Placement next = plan_by("incremental", problem);
      problem.evidence = 0;  // taken at its word
      const Placement chased = plan_by("incremental", problem);
      CHECK(moved_between(old, next) * 2 < moved_between(old, chased));
      CHECK(balancedness(expected, next) > balancedness(expected, chased) + 0.003);
      CHECK(balancedness(expected, next) > balancedness(expected, old) - 0.04);
    }
  }
}

TEST_CASE("what truly changed on one rank is relieved, however noisy all others are") {
  const Shape shape{64, 16, 5};
  LoadMatrix expected = law(shape.experts, 200);
  const Placement old = plan_by("balanced", problem_on(expected, shape));
  for (const LayerId layer : expected.row_ids()) {
    expected(layer, old.rank_slots(layer, RankId(3)).front()) *= 6;
  }
  PlanProblem problem = problem_on(counted(expected, 4), shape);
  problem.old = &old;
  CHECK(balancedness(expected, plan_by("incremental", problem)) >=
        balancedness(expected, old) + 0.15);
}

TEST_CASE("loads that are no counts are taken at their word") {
  const Shape shape{64, 16, 5};
  LoadMatrix expected = law(shape.experts, 24);
  const Placement old = plan_by("balanced", problem_on(expected, shape));
  LoadMatrix shares = counted(expected, 5);
  for (double& share : shares.items()) share /= 1000;
  PlanProblem problem = problem_on(shares, shape);
  problem.old = &old;
  CHECK(balancedness(shares, plan_by("incremental", problem)) >= 0.98);

  problem.evidence = 1000;  // thousandths of tokens that were counted
  CHECK(moved_between(old, plan_by("incremental", problem)) <= 8);
}

TEST_CASE("believed loads give ranks what is believed of them") {
  const Shape shape{64, 16, 5};
  const LoadMatrix expected = law(shape.experts, 24);
  const Placement old = plan_by("balanced", problem_on(expected, shape));
  PlanProblem problem = problem_on(counted(expected, 6), shape);
  problem.old = &old;
  const auto worst = [&](std::span<const double> load) {
    LoadMatrix one(1, load.size());
    std::copy(load.begin(), load.end(), one.items().begin());
    IdMatrix<LayerId, SlotId, ExpertId> slots(1, problem.slots);
    const auto row = old.layer(LayerId(0));
    std::copy(row.begin(), row.end(), slots.row(LayerId(0)).begin());
    return 1 / balancedness(one, Placement(shape.experts, shape.ranks, std::move(slots)));
  };
  const LayerProblem layer = layers_of(problem).front();
  std::vector<std::uint32_t> placed;
  for (const ExpertId e : layer.kept_slots()) placed.push_back(e.value());
  const BelievedLoad believed = believed_load(layer, placed);
  CHECK(worst(layer.load) > 1.15);
  CHECK(worst(believed.load) < 1.08);
  CHECK(believed.worth_moving > 0.01);
}

TEST_CASE("windows that differ by more than counts do make the load less certain") {
  const Shape shape{64, 16, 5};
  const LoadMatrix expected = law(shape.experts, 20000);
  const Placement old = plan_by("balanced", problem_on(expected, shape));
  PlanProblem problem = problem_on(expected, shape);
  problem.old = &old;
  Rng rng(7);
  std::fill(problem.load.items().begin(), problem.load.items().end(), 0.0);
  for (int window = 0; window < 8; ++window) {
    LoadMatrix load = expected;
    for (double& tokens : load.items()) tokens = std::round(tokens * std::exp(0.4 * rng.normal()));
    for (std::size_t i = 0; i < load.items().size(); ++i) {
      problem.load.items()[i] += load.items()[i];
    }
    problem.samples.push_back(std::move(load));
  }
  const std::size_t doubted = moved_between(old, plan_by("incremental", problem));
  problem.samples.clear();
  CHECK(doubted * 2 < moved_between(old, plan_by("incremental", problem)));
}

}  // namespace
}  // namespace moeshift
