// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/fresh_plan.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/plan/fresh/apportion.hpp"
#include "moeshift/plan/fresh/eplb_steps.hpp"
#include "moeshift/plan/fresh/local_search.hpp"
#include "moeshift/plan/fresh/packing.hpp"
#include "moeshift/plan/fresh/pair_counts.hpp"
#include "moeshift/plan/lower_bound.hpp"

namespace moeshift {
namespace {

/// One layer's search: remembers the best plan, and knows when it is good enough.
class Portfolio {
 public:
  Portfolio(std::span<const double> load, std::size_t ranks, std::size_t slots_per_rank,
            const Effort& effort)
      : load_(load),
        ranks_(ranks),
        slots_(ranks * slots_per_rank),
        effort_(effort),
        counts_(adams_counts(load, slots_, ranks)) {
    best_.lower_bound = lower_bound(load, ranks, slots_);
  }

  [[nodiscard]] double target() const { return best_.lower_bound * (1 + effort_.tolerance); }
  [[nodiscard]] bool done() const { return !best_.experts.empty() && best_.peak <= target(); }
  [[nodiscard]] std::span<const std::uint32_t> counts() const { return counts_; }
  [[nodiscard]] FreshPlan take() { return std::move(best_); }

  /// Refines one start; keeps it when it beats the best, as it was or refined: refining lowers Phi,
  /// which may raise a peak on the way.
  void start(std::vector<std::uint32_t> experts) {
    RankPacking packing(load_, ranks_, std::move(experts));
    keep_if_better(packing);
    LocalSearch search(packing, target());
    search.refine(effort_.steps);
    best_.moves_tried += search.moves_tried();
    keep_if_better(packing);
  }

  /// EPLB's own counts and packing, its clashes repaired: whatever it finds, we find. What it
  /// reaches by doubling an expert on a rank is remembered: no distinct plan need come near it.
  void start_from_eplb() {
    EplbPlan eplb = plan_by_eplb_steps(load_, ranks_, slots_);
    if (!distinct(eplb.experts, slots_ / ranks_)) best_.doubled_peak = eplb.peak;
    if (*std::max_element(eplb.counts.begin(), eplb.counts.end()) > ranks_) return;
    make_distinct(load_, eplb.counts, ranks_, eplb.experts);
    start(std::move(eplb.experts));
  }

  /// @param within multiples of the tolerance above the bound at which to stop.
  void kick(std::size_t kicks, std::uint64_t seed, Kick size = Kick::kSmall, double within = 1) {
    Rng rng(seed);
    const double enough = best_.lower_bound * (1 + within * effort_.tolerance);
    std::size_t since_best = 0;
    for (std::size_t i = 0; i < kicks && best_.peak > enough; ++i) {
      if (since_best++ >= effort_.patience) return;
      const double before = best_.peak;
      RankPacking packing(load_, ranks_, best_.experts);
      LocalSearch search(packing, target());
      search.kick(rng, size);
      search.refine(effort_.steps);
      best_.moves_tried += search.moves_tried();
      keep_if_better(packing);
      if (best_.peak < before) since_best = 0;
    }
  }

  /// The quick bound may be what stands between us and the target.
  void tighten_bound() {
    best_.lower_bound = companion_bound(load_, ranks_, slots_, best_.lower_bound, best_.peak);
  }

  void anneal_pairs(std::uint64_t seed) {
    const PairCounts pairs =
        anneal_pair_counts(load_, ranks_, counts_, target(), effort_.pair_iterations, seed);
    best_.moves_tried += effort_.pair_iterations;
    std::vector<std::uint32_t> folded = fold_pairs(load_, pairs.counts);
    const RankPacking packing(load_, ranks_, folded);
    // Where a fold clashed with distinctness, exchanges repair what the repair broke.
    if (packing.peak() > pairs.peak * (1 + 1e-9)) start(std::move(folded));
    keep_if_better(packing);
  }

 private:
  void keep_if_better(const RankPacking& packing) {
    const double peak = packing.peak();
    if (!best_.experts.empty() && peak >= best_.peak) return;
    best_.experts = packing.slot_experts();
    best_.peak = peak;
  }

  std::span<const double> load_;
  std::size_t ranks_;
  std::size_t slots_;
  const Effort& effort_;
  std::vector<std::uint32_t> counts_;
  FreshPlan best_;
};

constexpr std::size_t kFewRanks = 32;    // a kick is cheap
constexpr std::size_t kManyRanks = 96;   // from here on the number of large kicks falls
constexpr std::size_t kFewSlots = 128;   // even the least effort kicks
constexpr std::size_t kLeastKicks = 12;  // that often
constexpr std::size_t kRareKicks = 9;    // with four slots and more, so many times fewer

void search(Portfolio& portfolio, std::span<const double> load, std::size_t ranks,
            std::size_t slots_per_rank, const Effort& effort, std::uint64_t seed) {
  if (slots_per_rank >= 5) {
    portfolio.start(pack_by_differencing(load, portfolio.counts(), ranks));
    if (portfolio.done()) return;
  }
  portfolio.start(pack_largest_first_distinct(load, portfolio.counts(), ranks));
  if (portfolio.done() || slots_per_rank == 1) return;
  portfolio.tighten_bound();
  if (portfolio.done()) return;
  // More ranks take more time per kick, and fewer are to be had for it.
  const auto for_ranks = [&](std::size_t kicks) {
    return kicks * kManyRanks / std::max(ranks, kManyRanks);
  };
  const bool few = effort.steps > 0 && ranks * slots_per_rank <= kFewSlots;
  const std::size_t kicks = few ? std::max(effort.kicks, kLeastKicks) : effort.kicks;
  if (slots_per_rank == 2) {
    portfolio.anneal_pairs(seed);
    if (portfolio.done()) return;
    portfolio.start_from_eplb();
    if (ranks <= kFewRanks) portfolio.kick(8 * kicks, seed);
    return;
  }
  if (slots_per_rank < 5) {
    portfolio.start(pack_by_differencing(load, portfolio.counts(), ranks));
    if (portfolio.done()) return;
  }
  portfolio.start_from_eplb();
  portfolio.kick(kicks, seed);
  // What is left to gain is in the counts. With three slots that takes time, and half a per cent
  // will do; with more a gap is rare, and soon closed.
  if (slots_per_rank == 3) {
    portfolio.kick(for_ranks(effort.large_kicks), seed, Kick::kLarge, 5);
  } else {
    const double within = slots_per_rank == 4 ? 4 : 2;
    portfolio.kick(for_ranks(effort.large_kicks / kRareKicks), seed, Kick::kLarge, within);
  }
}

}  // namespace

Effort effort_named(const std::string& name) {
  if (name == "fast")
    return {.tolerance = 2e-3, .steps = 24, .kicks = 0, .pair_iterations = 200, .large_kicks = 0};
  if (name == "normal") return {};
  if (name == "thorough") {
    return {.tolerance = 1e-4,
            .steps = 2000,
            .kicks = 200,
            .pair_iterations = 50000,
            .large_kicks = 4000};
  }
  static constexpr std::array<std::string_view, 3> kNames{"fast", "normal", "thorough"};
  throw InputError("", fmt::format("unknown effort '{}'; expected fast, normal or thorough{}", name,
                                   did_you_mean(name, kNames)));
}

FreshPlan plan_fresh(std::span<const double> load, std::size_t ranks, std::size_t slots_per_rank,
                     const Effort& effort, std::uint64_t seed) {
  MOESHIFT_CHECK(load.size() <= ranks * slots_per_rank && slots_per_rank <= load.size());
  Portfolio portfolio(load, ranks, slots_per_rank, effort);
  search(portfolio, load, ranks, slots_per_rank, effort, seed);
  return portfolio.take();
}

}  // namespace moeshift
