// SPDX-License-Identifier: Apache-2.0
// Bounds against the optimum, found by trying everything on tiny instances.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "moeshift/plan/fresh/fresh_plan.hpp"
#include "moeshift/plan/fresh/rank_packing.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/warm/pair_chains.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

/// Every placement of `load` on ranks x k slots: all replica counts, all packings.
class Exhaustive {
 public:
  Exhaustive(std::vector<double> load, std::size_t ranks, std::size_t k, bool distinct)
      : load_(std::move(load)),
        k_(k),
        distinct_(distinct),
        ranks_(ranks),
        counts_(load_.size(), 1) {}

  double optimum() {
    choose_counts(0, ranks_.size() * k_ - load_.size());
    return best_;
  }

 private:
  struct Rank {
    double load = 0;
    std::vector<std::size_t> experts = {};
  };

  void choose_counts(std::size_t expert, std::size_t extras) {
    if (expert + 1 == load_.size()) {
      counts_[expert] = 1 + extras;
      place(0, 0, 0);
      return;
    }
    for (std::size_t extra = 0; extra <= extras; ++extra) {
      counts_[expert] = 1 + extra;
      choose_counts(expert + 1, extras - extra);
    }
  }

  /// Puts replica `copy` of `expert` on a rank not before `first`, the rank of the copy before.
  void place(std::size_t expert, std::size_t copy, std::size_t first) {
    if (expert == load_.size()) {
      double peak = 0;
      for (const Rank& rank : ranks_) peak = std::max(peak, rank.load);
      best_ = std::min(best_, peak);
      return;
    }
    if (copy == counts_[expert]) {
      place(expert + 1, 0, 0);
      return;
    }
    const double share = load_[expert] / static_cast<double>(counts_[expert]);
    bool tried_empty = false;
    for (std::size_t g = first; g < ranks_.size(); ++g) {
      Rank& rank = ranks_[g];
      if (rank.experts.size() == k_ || rank.load + share >= best_) continue;
      if (rank.experts.empty() && tried_empty) continue;
      tried_empty = tried_empty || rank.experts.empty();
      if (distinct_ && !rank.experts.empty() && rank.experts.back() == expert) continue;
      const double before = rank.load;
      rank.load += share;
      rank.experts.push_back(expert);
      place(expert, copy + 1, g);
      rank.experts.pop_back();
      rank.load = before;
    }
  }

  std::vector<double> load_;
  std::size_t k_;
  bool distinct_;
  std::vector<Rank> ranks_;
  std::vector<std::size_t> counts_;
  double best_ = std::numeric_limits<double>::infinity();
};

struct Tiny {
  std::vector<double> load;
  std::size_t ranks;
  std::size_t k;
};

Tiny tiny_instance(std::uint64_t seed) {
  Rng rng(seed);
  Tiny tiny{{}, 2 + rng.below(3), 1 + rng.below(3)};
  const std::size_t slots = tiny.ranks * tiny.k;
  const std::size_t extras = rng.below(4);
  const std::size_t experts = std::max(tiny.k, slots > extras ? slots - extras : 1);
  const double skew = rng.uniform() * 2;
  for (std::size_t e = 0; e < experts; ++e) {
    tiny.load.push_back(1 + std::round(100 * std::exp(skew * rng.normal())));
  }
  return tiny;
}

TEST_CASE("no lower bound is above the optimum of a tiny instance") {
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    const Tiny tiny = tiny_instance(seed);
    const std::size_t slots = tiny.ranks * tiny.k;
    const double optimum = Exhaustive(tiny.load, tiny.ranks, tiny.k, false).optimum();
    const double slack = optimum * (1 + 1e-9);
    INFO("seed " << seed);
    REQUIRE(mean_bound(tiny.load, tiny.ranks, slots) <= slack);
    REQUIRE(prefix_bound(tiny.load, tiny.ranks, slots) <= slack);
    // A ceiling far above the optimum, so that the tests must say no by themselves.
    const double known = mean_bound(tiny.load, tiny.ranks, slots);
    REQUIRE(companion_bound(tiny.load, tiny.ranks, slots, known, 4 * optimum) <= slack);
    if (tiny.k == 2) {
      REQUIRE(pair_bound(tiny.load, tiny.ranks, slots, known, 4 * optimum) <= slack);
    }
  }
}

TEST_CASE("fresh plans of tiny instances are close to the optimum without doubled replicas") {
  double gaps = 0;
  const int instances = 1000;
  for (std::uint64_t seed = 1; seed <= instances; ++seed) {
    const Tiny tiny = tiny_instance(seed);
    const double optimum = Exhaustive(tiny.load, tiny.ranks, tiny.k, true).optimum();
    const FreshPlan plan = plan_fresh(tiny.load, tiny.ranks, tiny.k, Effort{}, seed);
    INFO("seed " << seed);
    REQUIRE(plan.peak >= optimum * (1 - 1e-9));
    REQUIRE(distinct(plan.experts, tiny.k));
    gaps += plan.peak / optimum - 1;
  }
  CHECK(gaps / instances < 0.01);
}

TEST_CASE("the published FlashLB example is solved to its optimum") {
  const std::vector<double> load{600, 560, 120, 120, 20, 10, 10, 10};
  const FreshPlan plan = plan_fresh(load, 8, 2, Effort{}, 0);
  CHECK(plan.peak == Approx(196.6667).epsilon(1e-4));
}

TEST_CASE("two slots per rank without spare replicas ends at once, fresh and from an old plan") {
  const std::vector<double> load{9, 7, 5, 3, 2, 1};
  const FreshPlan plan = plan_fresh(load, 3, 2, Effort{}, 0);
  CHECK(plan.peak == Approx(10));
  const std::vector<std::uint32_t> old{0, 1, 2, 3, 4, 5};
  const std::vector<std::uint32_t> moved = rearrange_pairs(load, old, {.seed = 1});
  CHECK(RankPacking(load, 3, moved).peak() <= 10 * 1.03);
}

}  // namespace
}  // namespace moeshift
