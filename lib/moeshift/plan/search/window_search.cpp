// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/search/window_search.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Exchanges are looked for with this many of the coldest ranks and with all of the same node.
constexpr std::size_t kMostRanks = 32;
/// One step of patience per so many ranks, where that is more than was asked for.
constexpr std::size_t kRanksPerStepOfPatience = 64;
/// Whether to end is asked before one rank in so many: it may read a clock, as long as a rank
/// takes.
constexpr std::size_t kRanksPerLook = 4;
/// Ranks are tried before those are passed over that cannot be better; then again in other nodes.
constexpr std::size_t kTriedUnscreened = 4;
/// Gains below are rounding.
constexpr float kLeastGain = 1e-10F;

}  // namespace

WindowSearch::WindowSearch(const WindowLoads& loads, std::size_t ranks,
                           std::vector<std::uint32_t> start, std::span<const float> prices,
                           const WindowSearchOptions& options)
    : state_(loads, ranks, start, options.speed),
      k_(state_.slots_per_rank()),
      free_(prices.empty() ? loads.experts : 0, 0.0F),
      prices_(prices.empty() ? std::span<const float>(free_) : prices),
      prices_per_rank_(prices.empty() ? 0 : loads.experts),
      by_expert_(loads.experts * ranks),
      known_by_expert_(loads.experts, 0),
      options_(options),
      single_(loads.windows == 1 && options.holders.node_of.empty() &&
              options.budget == std::numeric_limits<double>::infinity()),
      start_(std::move(start)),
      mean_load_(options.cost_by_load ? loads.mean() : std::vector<double>()),
      thinner_(loads.experts),
      steadier_(loads.experts),
      units_(loads.experts, 1),
      units_of_more_(loads.experts, 1),
      paid_(start_.size()),
      most_paid_(ranks),
      peak_(loads.windows),
      variance_(loads.experts, 0),
      padded_((k_ + 3) / 4 * 4),
      gain_(padded_, 0),
      at_hot_(padded_, 0),
      cost_here_(k_),
      spares_before_(ranks + 1, 0),
      spare_bits_((start_.size() + 63) / 64, 0),
      known_(start_.size()),
      may_pay_(ranks, 1),
      coldest_first_(ranks) {
  hot_.price.resize(k_);
  for (auto* values : {&hot_.share, &hot_.pull, &hot_.kept, &hot_.spread, &hot_.spread_first_order,
                       &hot_.beyond, &at_rank_.pull, &at_rank_.cost, &at_rank_.price}) {
    values->assign(padded_, 0);
  }
  // Nothing is behind the padding, at a price that nothing is worth.
  std::fill(at_rank_.cost.begin() + static_cast<std::ptrdiff_t>(k_), at_rank_.cost.end(), 1e30F);
  std::fill(at_rank_.price.begin() + static_cast<std::ptrdiff_t>(k_), at_rank_.price.end(), 1e30F);
  for (auto* values : {&hot_.met, &hot_.least_there, &hot_.least_price, &most_value_}) {
    values->assign(ranks, 0);
  }
  for (auto* values : {&cooling_.elsewhere, &cooling_.kept, &cooling_.price, &cooling_.gain}) {
    values->assign(loads.experts, 0);
  }
  std::iota(coldest_first_.begin(), coldest_first_.end(), 0U);
  MOESHIFT_CHECK(prices.empty() || prices.size() == ranks * loads.experts);
  for (std::uint32_t e = 0; e < loads.experts; ++e) {
    count_replicas(e);
    mark_spares(e);
  }
  measure_risk();
  measure_cost();
  start_risk_ = risk_;
  start_cost_ = cost_;
}

void WindowSearch::measure_risk() {
  state_.peaks(peak_);
  const bool equal = options_.risk.kind == Risk::Kind::kMean && !weights_.empty();
  if (!equal) weights_ = risk_weights(options_.risk, peak_);
  risk_ = 0;
  for (std::size_t t = 0; t < peak_.size(); ++t) risk_ += weights_[t] * peak_[t];
}

/// What follows from the number of an expert's replicas; costs are in units of load where they
/// count by it.
void WindowSearch::count_replicas(std::uint32_t expert) {
  const auto copies = static_cast<float>(state_.count(expert));
  thinner_[expert] = 1 / (copies + 1);
  steadier_[expert] = thinner_[expert] / copies;
  if (!options_.cost_by_load) return;
  units_[expert] = static_cast<float>(mean_load_[expert] / state_.count(expert));
  units_of_more_[expert] = static_cast<float>(mean_load_[expert] / (state_.count(expert) + 1));
}

void WindowSearch::measure_cost() {
  cost_ = 0;
  for (std::size_t slot = 0; slot < state_.slots(); ++slot) {
    pay(slot);
    cost_ += static_cast<double>(paid_[slot]);
  }
}

void WindowSearch::pay(std::size_t slot) {
  const std::size_t rank = state_.rank_of(slot);
  paid_[slot] = price_of(rank, state_.expert(slot));
  const auto first = paid_.begin() + static_cast<std::ptrdiff_t>(rank * k_);
  most_paid_[rank] = *std::max_element(first, first + static_cast<std::ptrdiff_t>(k_));
}

void WindowSearch::run() {
  for (const double cut : options_.cuts) {
    pass(cut);
    if (risk_ <= options_.target || steps_.size() >= options_.max_steps || stopped()) return;
  }
}

void WindowSearch::go_on(double target, std::vector<double> cuts, std::size_t patience) {
  options_.target = target;
  options_.cuts = std::move(cuts);
  options_.patience = patience;
  options_.doubt = 0;
  std::fill(variance_.begin(), variance_.end(), 0.0F);
  forget_spares();
  options_.max_steps += steps_.size();
  run();
}

void WindowSearch::pass(double cut) {
  constexpr std::size_t kAimEvery = 10;
  // The more ranks, the more stand near the peak, which falls only once all of them are relieved.
  const std::size_t patience =
      std::max(options_.patience, state_.ranks() / kRanksPerStepOfPatience);
  double best = risk_ + options_.price.of(cost_);
  std::size_t since_best = 0;
  for (std::size_t i = 0; steps_.size() < options_.max_steps; ++i) {
    if (risk_ <= options_.target || since_best >= patience || stopped()) return;
    if (i % kAimEvery == 0) aim(cut);
    if (!step()) {
      if (i % kAimEvery == 0) return;
      aim(cut);
      if (!step()) return;
    }
    const double now = risk_ + options_.price.of(cost_);
    since_best = now < best - 1e-9 ? 0 : since_best + 1;
    best = std::min(best, now);
  }
}

/// Cold ranks come first: they offer the best exchanges, and a good one soon prunes the rest.
void WindowSearch::aim(double cut) {
  state_.aim(cut, weights_);
  if (options_.doubt > 0) measure_doubt();
  forget_spares();
  std::vector<float> load(state_.ranks());
  for (std::size_t rank = 0; rank < load.size(); ++rank) load[rank] = state_.mean_load(rank);
  std::stable_sort(coldest_first_.begin(), coldest_first_.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return load[a] < load[b]; });
}

/// Even after replicas were added and dropped, share x count is the expert's load, but for
/// rounding.
void WindowSearch::measure_doubt() {
  if (measured_.weights != weights_) measured_ = {weights_, std::vector(state_.experts(), 0U)};
  for (std::uint32_t e = 0; e < state_.experts(); ++e) {
    if (std::exchange(measured_.count[e], state_.count(e)) == state_.count(e)) continue;
    double squares = 0;
    for (std::size_t t = 0; t < weights_.size(); ++t) {
      const double load = static_cast<double>(state_.share(e)[t]) * state_.count(e);
      squares += weights_[t] * load * load;
    }
    variance_[e] = static_cast<float>(options_.doubt * options_.doubt * squares);
  }
}

bool WindowSearch::step() {
  const auto parts = state_.parts();
  const auto hottest = std::max_element(parts.begin(), parts.end());
  if (*hottest <= 0) return false;
  const auto hot = static_cast<std::size_t>(hottest - parts.begin());
  prepare(hot);
  Candidate best;
  // Those of the same node first: their exchanges cost least, and prune most of the others.
  std::size_t tried = 0;
  for (const bool near : {true, false}) {
    std::size_t looked_at = 0;
    bool screened = false;
    for (const std::uint32_t rank : coldest_first_) {
      if (rank == hot) continue;
      const bool passed_over = looked_at >= kMostRanks && !on_same_node(hot, rank);
      if (!passed_over) ++looked_at;
      if (passed_over || on_same_node(hot, rank) != near) continue;
      if (looked_at % kRanksPerLook == 0 && stopped()) return false;
      if (!screened && tried >= kTriedUnscreened) {
        screen(hot, best);
        screened = true;
      }
      if (screened && may_pay_[rank] == 0) continue;
      ++tried;
      try_rank(hot, rank, best);
    }
  }
  try_cooling(hot, best);
  if (best.score <= 0) look_everywhere(hot, best);
  if (best.score <= 0) return false;
  apply(best);
  return true;
}

/// The ranks that step() passed over: spare replicas may lie on warm ones.
void WindowSearch::look_everywhere(std::size_t hot, Candidate& best) {
  std::size_t looked_at = 0;
  for (const std::uint32_t rank : coldest_first_) {
    if (rank == hot) continue;
    if (looked_at < kMostRanks || on_same_node(hot, rank)) {
      ++looked_at;
      continue;
    }
    if (stopped()) return;
    try_rank(hot, rank, best);
  }
}

void WindowSearch::consider(float gain, float cost, std::size_t slot, std::uint32_t other,
                            std::uint32_t expert, Candidate& best) {
  if (gain <= kLeastGain) return;
  const float score = gain / std::max(cost, kLeastCost);
  if (score <= best.score) return;
  best = {.score = score, .cost = cost, .slot = slot, .other = other, .expert = expert};
}

void WindowSearch::apply(const Candidate& chosen) {
  SearchStep step{.slot = chosen.slot, .other = {}, .expert = chosen.expert};
  const std::uint32_t dropped = state_.expert(chosen.slot);
  if (chosen.other != WindowState::kNoSlot) {
    step.other = chosen.other;
    state_.swap(chosen.slot, chosen.other);
    pay(chosen.other);
  } else {
    state_.replace(chosen.slot, chosen.expert);
    for (const std::uint32_t e : {dropped, chosen.expert}) count_replicas(e);
  }
  for (const std::uint32_t e : {dropped, state_.expert(chosen.slot)}) mark_spares(e);
  pay(chosen.slot);
  measure_risk();
  if (options_.cost_by_load) {
    measure_cost();
  } else {
    cost_ += static_cast<double>(chosen.cost);
  }
  step.risk_after = risk_;
  step.cost_after = cost_;
  steps_.push_back(step);
}

std::size_t WindowSearch::best_prefix() const {
  std::size_t best = 0;
  double least = start_risk_ + options_.price.of(start_cost_);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const double value = steps_[i].risk_after + options_.price.of(steps_[i].cost_after);
    if (value >= least - 1e-9) continue;
    least = value;
    best = i + 1;
  }
  return best;
}

std::vector<std::uint32_t> WindowSearch::placement_after(std::size_t count) const {
  std::vector<std::uint32_t> experts = start_;
  for (std::size_t i = 0; i < count; ++i) {
    const SearchStep& step = steps_[i];
    if (step.other) {
      std::swap(experts[step.slot], experts[*step.other]);
    } else {
      experts[step.slot] = step.expert;
    }
  }
  return experts;
}

}  // namespace moeshift
