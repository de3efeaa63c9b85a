// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/window_search.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// A free move counts as half a unit, so that free moves come first without beating all others.
constexpr double kLeastCost = 0.5;

}  // namespace

WindowSearch::WindowSearch(const WindowLoads& loads, std::size_t ranks,
                           std::vector<std::uint32_t> start, std::span<const float> prices,
                           const WindowSearchOptions& options)
    : loads_(loads),
      windows_(loads.windows),
      ranks_(ranks),
      k_(start.size() / ranks),
      prices_(prices),
      options_(options),
      start_(start),
      expert_(std::move(start)),
      count_(loads.experts, 0),
      share_(loads.experts * windows_),
      rank_load_(ranks * windows_),
      holds_(ranks * loads.experts, 0),
      mean_load_(loads.mean()),
      peak_(windows_),
      tau_(windows_),
      weight_(windows_),
      part_(ranks),
      pull_(loads.experts),
      relief_(loads.experts),
      scratch_(2 * windows_) {
  for (const std::uint32_t e : expert_) ++count_[e];
  for (std::uint32_t e = 0; e < loads.experts; ++e) set_share(e);
  for (std::size_t slot = 0; slot < expert_.size(); ++slot) {
    std::uint8_t& held = holds_[slot / k_ * loads.experts + expert_[slot]];
    MOESHIFT_CHECK(held == 0);
    held = 1;
  }
  for (std::size_t rank = 0; rank < ranks_; ++rank) sum_rank(rank);
  measure();
  start_risk_ = risk_;
  start_cost_ = cost_;
}

void WindowSearch::set_share(std::uint32_t expert) {
  const float replicas = static_cast<float>(count_[expert]);
  for (std::size_t t = 0; t < windows_; ++t) {
    share_[expert * windows_ + t] = loads_.of(expert)[t] / replicas;
  }
}

void WindowSearch::sum_rank(std::size_t rank) {
  float* load = rank_load_.data() + rank * windows_;
  std::fill_n(load, windows_, 0.0F);
  for (std::size_t i = 0; i < k_; ++i) {
    const float* one = share(expert_[rank * k_ + i]);
    for (std::size_t t = 0; t < windows_; ++t) load[t] += one[t];
  }
}

double WindowSearch::over(const float* load) const {
  float sum = 0;
  for (std::size_t t = 0; t < windows_; ++t) {
    const float above = std::max(0.0F, load[t] - tau_[t]);
    sum += weight_[t] * above * above;
  }
  return static_cast<double>(sum);
}

double WindowSearch::over_with(const float* load, const float* plus, const float* minus) const {
  float sum = 0;
  for (std::size_t t = 0; t < windows_; ++t) {
    const float above = std::max(0.0F, load[t] + plus[t] - minus[t] - tau_[t]);
    sum += weight_[t] * above * above;
  }
  return static_cast<double>(sum);
}

void WindowSearch::score_rank(std::size_t rank) {
  part_[rank] = over(rank_load(rank));
}

double WindowSearch::price_of(std::size_t rank, std::uint32_t expert, std::uint32_t count) const {
  if (prices_.empty()) return 0;
  const double price = static_cast<double>(prices_[rank * loads_.experts + expert]);
  return options_.cost_by_load ? price * mean_load_[expert] / count : price;
}

double WindowSearch::price_of(std::size_t rank, std::uint32_t expert) const {
  return price_of(rank, expert, count_[expert]);
}

/// Peaks, risk and cost of the placement as it stands.
void WindowSearch::measure() {
  std::fill(peak_.begin(), peak_.end(), 0.0);
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    for (std::size_t t = 0; t < windows_; ++t) {
      peak_[t] = std::max(peak_[t], static_cast<double>(rank_load(rank)[t]));
    }
  }
  const std::vector<double> weights = risk_weights(options_.risk, peak_);
  risk_ = 0;
  for (std::size_t t = 0; t < windows_; ++t) risk_ += weights[t] * peak_[t];
  cost_ = 0;
  for (std::size_t slot = 0; slot < expert_.size(); ++slot) {
    cost_ += price_of(slot / k_, expert_[slot]);
  }
}

void WindowSearch::refresh(double cut) {
  const std::vector<double> weights = risk_weights(options_.risk, peak_);
  for (std::size_t t = 0; t < windows_; ++t) {
    tau_[t] = static_cast<float>(1 + cut * (peak_[t] - 1));
    weight_[t] = static_cast<float>(weights[t]);
  }
  for (std::size_t rank = 0; rank < ranks_; ++rank) score_rank(rank);
}

void WindowSearch::run() {
  for (const double cut : options_.cuts) {
    pass(cut);
    if (risk_ <= options_.target || steps_.size() >= options_.max_steps) return;
  }
}

void WindowSearch::pass(double cut) {
  constexpr std::size_t kRefreshEvery = 10;
  double best = risk_ + options_.price * cost_;
  std::size_t since_best = 0;
  for (std::size_t i = 0; steps_.size() < options_.max_steps; ++i) {
    if (risk_ <= options_.target || since_best >= options_.patience) return;
    if (i % kRefreshEvery == 0) refresh(cut);
    if (!step()) {
      if (i % kRefreshEvery == 0) return;
      refresh(cut);
      if (!step()) return;
    }
    const double now = risk_ + options_.price * cost_;
    since_best = now < best - 1e-9 ? 0 : since_best + 1;
    best = std::min(best, now);
  }
}

bool WindowSearch::step() {
  const auto hottest = std::max_element(part_.begin(), part_.end());
  if (*hottest <= 0) return false;
  const auto hot = static_cast<std::size_t>(hottest - part_.begin());
  prepare(hot);
  Candidate best;
  try_swaps(hot, best);
  try_replacements(hot, best);
  if (best.score <= 0) return false;
  apply(best);
  return true;
}

/// First-order values: what a unit less load of each expert is worth at the hot rank and, for one
/// more replica, at all of its holders.
void WindowSearch::prepare(std::size_t hot) {
  float* gradient = scratch_.data();
  for (std::size_t t = 0; t < windows_; ++t) {
    gradient[t] = 2 * weight_[t] * std::max(0.0F, rank_load(hot)[t] - tau_[t]);
  }
  for (std::uint32_t e = 0; e < loads_.experts; ++e) {
    float pull = 0;
    for (std::size_t t = 0; t < windows_; ++t) pull += gradient[t] * share(e)[t];
    pull_[e] = static_cast<double>(pull);
  }
  std::fill(relief_.begin(), relief_.end(), 0.0);
  for (std::size_t slot = 0; slot < expert_.size(); ++slot) {
    if (part_[slot / k_] <= 0) continue;
    const std::uint32_t e = expert_[slot];
    double value = 0;
    const float* load = rank_load(slot / k_);
    for (std::size_t t = 0; t < windows_; ++t) {
      value +=
          static_cast<double>(2 * weight_[t] * std::max(0.0F, load[t] - tau_[t]) * share(e)[t]);
    }
    relief_[e] += std::min(part_[slot / k_], value / (count_[e] + 1));
  }
}

bool WindowSearch::worth(double ceiling, double cost, const Candidate& best) const {
  if (cost_ + cost > options_.budget + 1e-9) return false;
  return ceiling > best.score * std::max(cost, kLeastCost);
}

void WindowSearch::consider(double gain, double cost, Candidate candidate, Candidate& best) {
  ++moves_tried_;
  if (gain <= 1e-10) return;
  const double score = gain / std::max(cost, kLeastCost);
  if (score <= best.score) return;
  candidate.score = score;
  candidate.cost = cost;
  best = candidate;
}

void WindowSearch::try_swaps(std::size_t hot, Candidate& best) {
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    if (rank == hot || part_[rank] >= part_[hot]) continue;
    for (std::size_t i = 0; i < k_; ++i) {
      for (std::size_t j = 0; j < k_; ++j) try_swap(hot * k_ + i, rank * k_ + j, best);
    }
  }
}

void WindowSearch::try_swap(std::size_t slot, std::size_t other, Candidate& best) {
  const std::uint32_t leaving = expert_[slot];
  const std::uint32_t coming = expert_[other];
  const std::size_t hot = slot / k_;
  const std::size_t rank = other / k_;
  const double removed = pull_[leaving] - pull_[coming];
  if (removed <= 0) return;
  const double ceiling = std::min(removed, part_[hot]) + part_[rank];
  if (ceiling <= best.score * kLeastCost) return;
  const double cost = price_of(rank, leaving) - price_of(hot, leaving) + price_of(hot, coming) -
                      price_of(rank, coming);
  if (!worth(ceiling, cost, best)) return;
  if (holds(rank, leaving) || holds(hot, coming)) return;
  const double gain = part_[hot] + part_[rank] -
                      over_with(rank_load(hot), share(coming), share(leaving)) -
                      over_with(rank_load(rank), share(leaving), share(coming));
  consider(gain, cost, {.slot = slot, .other = other}, best);
}

void WindowSearch::try_replacements(std::size_t hot, Candidate& best) {
  for (std::size_t slot = 0; slot < expert_.size(); ++slot) {
    const std::uint32_t dropped = expert_[slot];
    if (count_[dropped] < 2) continue;
    const std::size_t rank = slot / k_;
    if (rank == hot) {
      for (std::uint32_t e = 0; e < loads_.experts; ++e) {
        const double removed = pull_[dropped] - pull_[e] * count_[e] / (count_[e] + 1);
        if (removed <= 0) continue;
        try_replacement(slot, e, std::min(removed, part_[hot]) + relief_[e], best);
      }
      continue;
    }
    for (std::size_t i = 0; i < k_; ++i) {
      const std::uint32_t e = expert_[hot * k_ + i];
      try_replacement(slot, e, relief_[e] + part_[rank], best);
    }
  }
}

void WindowSearch::try_replacement(std::size_t slot, std::uint32_t expert, double ceiling,
                                   Candidate& best) {
  if (ceiling <= best.score * kLeastCost) return;
  const std::size_t rank = slot / k_;
  const std::uint32_t dropped = expert_[slot];
  if (holds(rank, expert)) return;
  const double cost = price_of(rank, expert, count_[expert] + 1) - price_of(rank, dropped);
  if (!worth(ceiling, cost, best)) return;
  float* less = scratch_.data();             // what every holder of `expert` is spared
  float* more = scratch_.data() + windows_;  // what every holder of `dropped` takes on
  const float thinner = 1.0F / static_cast<float>(count_[expert] + 1);
  const float thicker = 1.0F / static_cast<float>(count_[dropped] - 1);
  for (std::size_t t = 0; t < windows_; ++t) {
    less[t] = share(expert)[t] * thinner;
    more[t] = share(dropped)[t] * thicker;
  }
  double gain = 0;
  for (std::size_t g = 0; g < ranks_; ++g) {
    const bool spared = holds(g, expert);
    const bool burdened = holds(g, dropped);
    if ((!spared && !burdened) || g == rank) continue;
    if (part_[g] <= 0 && !burdened) continue;
    float sum = 0;
    for (std::size_t t = 0; t < windows_; ++t) {
      const float load = rank_load(g)[t] + (burdened ? more[t] : 0.0F) - (spared ? less[t] : 0.0F);
      const float above = std::max(0.0F, load - tau_[t]);
      sum += weight_[t] * above * above;
    }
    gain += part_[g] - static_cast<double>(sum);
  }
  for (std::size_t t = 0; t < windows_; ++t) less[t] = share(expert)[t] * (1 - thinner);
  gain += part_[rank] - over_with(rank_load(rank), less, share(dropped));
  consider(gain, cost, {.slot = slot, .other = {}, .expert = expert}, best);
}

void WindowSearch::apply(const Candidate& chosen) {
  const std::size_t rank = chosen.slot / k_;
  const std::uint32_t before = expert_[chosen.slot];
  holds_[rank * loads_.experts + before] = 0;
  if (chosen.other) {
    const std::size_t other_rank = *chosen.other / k_;
    const std::uint32_t coming = expert_[*chosen.other];
    holds_[other_rank * loads_.experts + coming] = 0;
    holds_[other_rank * loads_.experts + before] = 1;
    holds_[rank * loads_.experts + coming] = 1;
    std::swap(expert_[chosen.slot], expert_[*chosen.other]);
    for (const std::size_t g : {rank, other_rank}) sum_rank(g);
    for (const std::size_t g : {rank, other_rank}) score_rank(g);
  } else {
    holds_[rank * loads_.experts + chosen.expert] = 1;
    expert_[chosen.slot] = chosen.expert;
    --count_[before];
    ++count_[chosen.expert];
    set_share(before);
    set_share(chosen.expert);
    for (std::size_t g = 0; g < ranks_; ++g) {
      if (g != rank && !holds(g, before) && !holds(g, chosen.expert)) continue;
      sum_rank(g);
      score_rank(g);
    }
  }
  measure();
  steps_.push_back({chosen.slot, chosen.other, chosen.expert, risk_, cost_});
}

std::size_t WindowSearch::best_prefix() const {
  std::size_t best = 0;
  double least = start_risk_ + options_.price * start_cost_;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const double value = steps_[i].risk_after + options_.price * steps_[i].cost_after;
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
