// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/plan/search/window_search.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

using test::balancedness;
using test::moved_between;

constexpr std::size_t kExperts = 64;
constexpr std::size_t kRanks = 16;
constexpr std::size_t kSlotsPerRank = 5;
constexpr std::size_t kLayers = 4;

/// Windows around one load, every expert off by a quarter of its own.
std::vector<LoadMatrix> noisy_windows(std::size_t count) {
  const LoadMatrix base = test::lognormal_load(kLayers, kExperts, 0.9, 5);
  Rng rng(6);
  std::vector<LoadMatrix> windows(count, base);
  for (LoadMatrix& window : windows) {
    for (double& tokens : window.items()) tokens *= std::max(0.1, 1 + 0.25 * rng.normal());
  }
  return windows;
}

PlanProblem noisy_problem(const std::vector<LoadMatrix>& windows) {
  PlanProblem problem{.load = windows.back(),
                      .samples = windows,
                      .topology = Topology(kRanks, 2),
                      .slots = kRanks * kSlotsPerRank};
  return problem;
}

Placement planned(const char* policy, const PlanProblem& problem,
                  const PolicyOptions& options = {}) {
  NoProgress quiet;
  return make_planner(policy, options)->plan(problem, Threads{1}, quiet).placement;
}

/// The user, who asks to stop once the planner has asked often enough.
class StopsWhenAsked final : public Progress {
 public:
  explicit StopsWhenAsked(int patience) : patience_(patience) {}
  void update(std::string_view, std::uint64_t, std::uint64_t) override {}
  [[nodiscard]] bool interrupted() const override { return ++asked_ > patience_; }

 private:
  int patience_;
  mutable int asked_ = 0;
};

TEST_CASE("told to stop within a layer, a planner ends with what it has and the layer says so") {
  const std::vector<LoadMatrix> windows = noisy_windows(5);
  PlanProblem problem = noisy_problem(windows);
  const Placement initial = planned("static", problem);
  problem.old = &initial;
  // In the middle of the first layer: asked once before it, then before every fourth rank of a
  // step.
  StopsWhenAsked user(10);
  const PlanResult cut = make_planner("robust", {})->plan(problem, Threads{1}, user);
  CHECK(cut.layers[0].hasty);
  for (const LayerId layer : cut.placement.physical_to_logical().row_ids()) {
    CHECK(cut.placement.uncovered(layer).empty());
  }
  NoProgress quiet;
  const PlanResult whole = make_planner("robust", {})->plan(problem, Threads{1}, quiet);
  CHECK_FALSE(whole.layers[0].hasty);
}

TEST_CASE("from a map that does not know the load robust balances what comes as a fresh plan") {
  std::vector<LoadMatrix> windows = noisy_windows(5);
  const LoadMatrix next = windows.back();
  windows.pop_back();
  PlanProblem problem = noisy_problem(windows);
  PolicyOptions afresh;
  afresh.from_scratch = true;
  const double fresh = balancedness(next, planned("robust", problem, afresh));
  const Placement initial = planned("static", problem);
  problem.old = &initial;
  CHECK(balancedness(next, planned("robust", problem)) == Approx(fresh).epsilon(1e-9));
}

TEST_CASE("two slots per rank: who asks more of a transfer gets fewer, and not none") {
  constexpr std::size_t kPairs = 72;
  PlanProblem problem{.load = test::lognormal_load(kLayers, 128, 0.5, 5),
                      .samples = {},
                      .topology = Topology(kPairs, 1),
                      .slots = 2 * kPairs};
  const Placement old = planned("balanced", problem);
  Rng rng(6);
  for (double& tokens : problem.load.items()) tokens *= std::exp(0.1 * rng.normal());
  problem.old = &old;
  struct Outcome {
    std::size_t arrivals = 0;
    double imbalance = 0;  ///< max / mean, sum over layers
    [[nodiscard]] double at(double price) const {
      return imbalance + price * static_cast<double>(arrivals);
    }
  };
  const auto outcome = [&](const PolicyOptions& options) {
    NoProgress quiet;
    const PlanResult result =
        make_planner("incremental", options)->plan(problem, Threads{1}, quiet);
    Outcome sum{.arrivals = moved_between(old, result.placement)};
    for (const LayerVerdict& layer : result.layers) sum.imbalance += layer.imbalance;
    return sum;
  };
  PolicyOptions cheap;
  cheap.price = 0.001;
  PolicyOptions dear;
  dear.price = 0.004;
  const Outcome many = outcome(cheap);
  const Outcome few = outcome(dear);
  INFO(many.arrivals << " and " << few.arrivals << " transfers, " << many.at(0.004) << " and "
                     << few.at(0.004));
  CHECK(few.arrivals > 0);
  CHECK(few.arrivals < many.arrivals / 2);
  CHECK(few.at(0.004) < many.at(0.004));
}

TEST_CASE("robust leaves a map that does not know the load for less than its full price") {
  PlanProblem problem{.load = test::lognormal_load(kLayers, kExperts, 0.5, 5),
                      .samples = {},
                      .topology = Topology(kRanks, kRanks),
                      .slots = kRanks * kSlotsPerRank};
  PolicyOptions options;
  options.inter_node_price = 40;
  const double fresh = balancedness(problem.load, planned("robust", problem, options));
  const Placement initial = planned("static", problem);
  problem.old = &initial;
  CHECK(balancedness(problem.load, planned("robust", problem, options)) ==
        Approx(fresh).epsilon(1e-9));
  options.price = 0.0005;
  CHECK(balancedness(problem.load, planned("robust", problem, options)) < fresh - 0.01);
}

TEST_CASE("a placement that knows the load is kept but for a few replicas") {
  const std::vector<LoadMatrix> windows = noisy_windows(5);
  PlanProblem problem = noisy_problem({windows.begin(), windows.end() - 1});
  const Placement before = planned("robust", problem);
  problem.old = &before;
  problem.samples = windows;
  CHECK(moved_between(before, planned("robust", problem)) < kLayers * kRanks * kSlotsPerRank / 5);
}

TEST_CASE("where few replicas need to move they move for less than robust's full price") {
  const std::vector<LoadMatrix> windows = noisy_windows(17);
  PlanProblem problem = noisy_problem({windows.begin(), windows.end() - 1});
  problem.scenarios = true;
  const Placement before = planned("robust", problem);
  problem.old = &before;
  problem.samples = {windows.begin() + 1, windows.end()};
  PolicyOptions full_price;
  full_price.price = 0.0005;
  CHECK(moved_between(before, planned("robust", problem)) >
        moved_between(before, planned("robust", problem, full_price)));
}

TEST_CASE("the price of a move rises from nothing to its full height") {
  const MovePrice price{.per_unit = 0.5, .full_from = 4};
  CHECK(price.of(0) == Approx(0));
  CHECK(price.of(2) == Approx(0.25));
  CHECK(price.of(4) == Approx(1));
  CHECK(price.of(6) == Approx(2));
  CHECK(MovePrice{.per_unit = 0.5}.of(6) == Approx(3));
}

TEST_CASE("under a budget not even a map that does not know the load is rebuilt") {
  PlanProblem problem = noisy_problem(noisy_windows(1));
  const Placement initial = planned("static", problem);
  problem.old = &initial;
  PolicyOptions options;
  options.budget = Bytes(6);
  options.expert_bytes = Bytes(1);
  NoProgress quiet;
  const PlanResult plan = make_planner("incremental", options)->plan(problem, Threads{1}, quiet);
  CHECK(plan.reasons.size() <= 6);
  CHECK(!plan.reasons.empty());
}

/// Sum of squares of all replica loads.
double squares(const WindowLoads& loads, const std::vector<std::uint32_t>& experts) {
  std::vector<double> count(loads.experts, 0);
  for (const std::uint32_t e : experts) ++count[e];
  double sum = 0;
  for (std::size_t e = 0; e < loads.experts; ++e) {
    const auto load = static_cast<double>(loads.of(e)[0]);
    sum += load * load / count[e];
  }
  return sum;
}

/// Lognormal loads, and experts in the order of their numbers to begin a search from.
struct UnevenLayer {
  WindowLoads loads = [] {
    const LoadMatrix load = test::lognormal_load(1, kExperts, 0.9, 7);
    LayerProblem problem;
    problem.load = load.row(LayerId(0));
    problem.node_of.assign(kRanks, 0);
    problem.slots_per_rank = kSlotsPerRank;
    return windows_of(problem, false);
  }();
  std::vector<std::uint32_t> start = [] {
    std::vector<std::uint32_t> slots(kRanks * kSlotsPerRank);
    for (std::uint32_t s = 0; s < slots.size(); ++s) slots[s] = s % kExperts;
    return slots;
  }();
};

TEST_CASE("a search that doubts its loads spreads hot experts thinner") {
  const UnevenLayer layer;
  const auto found = [&](double doubt) {
    WindowSearchOptions options;
    options.target = 1.02;
    options.doubt = doubt;
    WindowSearch search(layer.loads, kRanks, layer.start, {}, options);
    search.run();
    REQUIRE(search.risk() <= 1.02);
    return squares(layer.loads, search.placement_after(search.steps().size()));
  };
  CHECK(found(0.4) < 0.97 * found(0));
}

TEST_CASE("a search looks within a step whether it is to end") {
  const UnevenLayer layer;
  const auto steps = [&](const Progress* progress) {
    WindowSearchOptions options;
    options.progress = progress;
    WindowSearch search(layer.loads, kRanks, layer.start, {}, options);
    search.run();
    return search.steps().size();
  };
  const std::size_t all = steps(nullptr);
  REQUIRE(all > 12);
  const StopsWhenAsked in_the_first_step(3);
  CHECK(steps(&in_the_first_step) == 0);
  const StopsWhenAsked later(3 * static_cast<int>(kRanks));
  CHECK(steps(&later) > 0);
  const StopsWhenAsked again(3 * static_cast<int>(kRanks));
  CHECK(steps(&again) < all);
}

TEST_CASE("a search over a thousand ranks waits until all that are near the peak are relieved") {
  constexpr std::size_t kMany = 1024;
  LoadMatrix load = test::lognormal_load(1, kMany / 2, 0.6, 1);
  PlanProblem problem{
      .load = load, .samples = {}, .topology = Topology(kMany, kMany / 8), .slots = 4 * kMany};
  const Placement before = planned("balanced", problem);
  Rng rng(9);
  for (double& tokens : load.items()) tokens *= std::exp(0.15 * rng.normal());
  problem.load = load;
  problem.old = &before;
  NoProgress quiet;
  const PlanResult plan = make_planner("incremental", {})->plan(problem, Threads{1}, quiet);
  CHECK(plan.layers[0].gap < 0.025);
}

}  // namespace
}  // namespace moeshift
