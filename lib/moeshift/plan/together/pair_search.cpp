// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/together/pair_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr double kTiny = 1e-9;

std::size_t node_count(std::span<const std::uint32_t> node_of) {
  return node_of.empty() ? 0 : std::size_t{node_of.back()} + 1;
}

}  // namespace

PairModel::PairModel(const LayerTogether& together)
    : experts_(together.pairs.experts()), together_((experts_ + 1) * (experts_ + 1), 0.0F) {
  const double each = together.tokens > 0 ? 1 / static_cast<double>(together.tokens) : 0;
  const std::span<const std::uint32_t> counts = together.pairs.items();
  std::size_t at = 0;
  for (std::size_t a = 0; a < experts_; ++a) {
    ++at;  // the expert with itself
    for (std::size_t b = a + 1; b < experts_; ++b, ++at) {
      const auto rate = static_cast<float>(counts[at] * each);
      together_[a * (experts_ + 1) + b] = rate;
      together_[b * (experts_ + 1) + a] = rate;
    }
  }
}

PairSearch::PairSearch(PairSearchProblem problem, std::vector<std::uint32_t> slots)
    : problem_(std::move(problem)),
      ranks_(problem_.node_of.size()),
      nodes_(node_count(problem_.node_of)),
      width_(problem_.pairs.experts() + 1),
      slots_(slots.size(), static_cast<std::uint32_t>(width_ - 1)),
      counts_(width_, 0),
      share_(width_, 0),
      on_rank_(ranks_ * width_, 0),
      beside_rank_(ranks_ * width_, 0.0F),
      beside_node_(nodes_ * width_, 0.0F),
      rank_pairs_(ranks_, 0),
      node_pairs_(nodes_, 0) {
  MOESHIFT_CHECK(slots.size() == ranks_ * problem_.slots_per_rank);
  for (const std::vector<double>& loads : problem_.loads) {
    const double total = std::accumulate(loads.begin(), loads.end(), 0.0);
    std::vector<double> weights(width_, 0);
    for (std::size_t e = 0; e < loads.size() && total > 0; ++e) {
      weights[e] = loads[e] / total * static_cast<double>(ranks_);
    }
    weight_.push_back(std::move(weights));
    load_.emplace_back(ranks_, 0.0);
  }
  for (const std::uint32_t e : slots) ++counts_[e];
  for (std::size_t e = 0; e + 1 < width_; ++e) {
    share_[e] = counts_[e] > 0 ? 1.0 / counts_[e] : 0;
    spare_ = spare_ || counts_[e] > 1;
  }
  for (std::size_t slot = 0; slot < slots.size(); ++slot) put(slot, slots[slot]);
}

double PairSearch::price_of(std::size_t rank, std::uint32_t expert) const {
  if (problem_.prices.empty() || expert + 1 == width_) return 0;
  return problem_.price * static_cast<double>(problem_.prices[rank * (width_ - 1) + expert]);
}

void PairSearch::add(std::size_t rank, std::uint32_t expert, double share) {
  const std::span<const float> with = problem_.pairs.with(expert);
  const std::size_t node = problem_.node_of[rank];
  rank_pairs_[rank] += share * static_cast<double>(beside_rank_[rank * width_ + expert]);
  node_pairs_[node] += share * static_cast<double>(beside_node_[node * width_ + expert]);
  const auto part = static_cast<float>(share);
  float* const beside = beside_rank_.data() + rank * width_;
  for (std::size_t e = 0; e < width_; ++e) beside[e] += part * with[e];
  if (nodes_ > 1) {
    float* const near = beside_node_.data() + node * width_;
    for (std::size_t e = 0; e < width_; ++e) near[e] += part * with[e];
  }
  for (std::size_t v = 0; v < load_.size(); ++v) load_[v][rank] += share * weight_[v][expert];
}

/// Into a slot that is empty.
void PairSearch::put(std::size_t slot, std::uint32_t expert) {
  slots_[slot] = expert;
  add(rank_of(slot), expert, share_[expert]);
  ++on_rank_[rank_of(slot) * width_ + expert];
  charges_ += price_of(rank_of(slot), expert);
}

double PairSearch::excess_of(std::size_t rank, std::size_t vector, double load) const {
  const double speed = problem_.speed.empty() ? 1 : problem_.speed[rank];
  return std::max(0.0, load / speed - caps_[vector]);
}

double PairSearch::total_excess() const {
  double sum = 0;
  for (std::size_t v = 0; v < load_.size(); ++v) {
    for (std::size_t rank = 0; rank < ranks_; ++rank) sum += excess_of(rank, v, load_[v][rank]);
  }
  return sum;
}

std::vector<double> PairSearch::imbalances() const {
  std::vector<double> worst(load_.size(), 0);
  for (std::size_t v = 0; v < load_.size(); ++v) {
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
      const double speed = problem_.speed.empty() ? 1 : problem_.speed[rank];
      worst[v] = std::max(worst[v], load_[v][rank] / speed);
    }
  }
  return worst;
}

bool PairSearch::fits(std::span<const double> caps) const {
  const std::vector<double> worst = imbalances();
  for (std::size_t v = 0; v < worst.size(); ++v) {
    if (worst[v] > caps[v] + kTiny) return false;
  }
  return true;
}

double PairSearch::worth() const {
  const double rank = std::accumulate(rank_pairs_.begin(), rank_pairs_.end(), 0.0);
  const double node = std::accumulate(node_pairs_.begin(), node_pairs_.end(), 0.0);
  return problem_.rank_weight * rank + problem_.node_weight * node - charges_;
}

bool PairSearch::may_exchange(std::size_t i, std::size_t j) const {
  const std::size_t a = rank_of(i);
  const std::size_t b = rank_of(j);
  if (a == b || slots_[i] == slots_[j]) return false;
  if (problem_.within_nodes && problem_.node_of[a] != problem_.node_of[b]) return false;
  const auto empty = static_cast<std::uint32_t>(width_ - 1);
  const bool doubles_i = slots_[i] != empty && on_rank_[b * width_ + slots_[i]] > 0;
  const bool doubles_j = slots_[j] != empty && on_rank_[a * width_ + slots_[j]] > 0;
  return !doubles_i && !doubles_j;
}

PairSearch::Change PairSearch::exchange_of(std::size_t i, std::size_t j) const {
  const std::size_t a = rank_of(i);
  const std::size_t b = rank_of(j);
  const std::uint32_t x = slots_[i];
  const std::uint32_t y = slots_[j];
  const double sx = share_[x];
  const double sy = share_[y];
  const double both = 2 * sx * sy * static_cast<double>(problem_.pairs.with(x)[y]);
  const auto moved = [&](const std::vector<float>& beside, std::size_t here, std::size_t there) {
    const float* const at_here = beside.data() + here * width_;
    const float* const at_there = beside.data() + there * width_;
    return sx * static_cast<double>(at_there[x] - at_here[x]) +
           sy * static_cast<double>(at_here[y] - at_there[y]) - both;
  };
  Change change;
  change.worth = problem_.rank_weight * moved(beside_rank_, a, b);
  const std::size_t m = problem_.node_of[a];
  const std::size_t n = problem_.node_of[b];
  if (m != n) change.worth += problem_.node_weight * moved(beside_node_, m, n);
  if (!problem_.prices.empty()) {
    change.worth += price_of(a, x) + price_of(b, y) - price_of(a, y) - price_of(b, x);
  }
  for (std::size_t v = 0; v < load_.size(); ++v) {
    const double shift = sy * weight_[v][y] - sx * weight_[v][x];
    change.excess += excess_of(a, v, load_[v][a] + shift) + excess_of(b, v, load_[v][b] - shift) -
                     excess_of(a, v, load_[v][a]) - excess_of(b, v, load_[v][b]);
  }
  return change;
}

void PairSearch::exchange(std::size_t i, std::size_t j) {
  const std::uint32_t x = slots_[i];
  const std::uint32_t y = slots_[j];
  const auto leave = [&](std::size_t slot, std::uint32_t e) {
    add(rank_of(slot), e, -share_[e]);
    --on_rank_[rank_of(slot) * width_ + e];
    charges_ -= price_of(rank_of(slot), e);
  };
  leave(i, x);
  leave(j, y);
  put(i, y);
  put(j, x);
}

bool PairSearch::may_retarget(std::size_t slot, std::uint32_t expert) const {
  const std::uint32_t old = slots_[slot];
  return old + 1 < width_ && expert + 1 < width_ && old != expert && counts_[old] > 1 &&
         counts_[expert] > 0 && on_rank_[rank_of(slot) * width_ + expert] == 0;
}

/// A replica of another expert in the slot: both experts' shares change on all their ranks.
void PairSearch::retarget(std::size_t slot, std::uint32_t expert) {
  const std::uint32_t old = slots_[slot];
  const auto all = [&](std::uint32_t e, double by) {
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
      for (std::size_t i = 0; i < on_rank_[rank * width_ + e]; ++i) add(rank, e, by);
    }
  };
  add(rank_of(slot), old, -share_[old]);
  --on_rank_[rank_of(slot) * width_ + old];
  charges_ -= price_of(rank_of(slot), old);
  const double more = 1.0 / --counts_[old];
  all(old, more - share_[old]);
  share_[old] = more;
  const double less = 1.0 / ++counts_[expert];
  all(expert, less - share_[expert]);
  share_[expert] = less;
  put(slot, expert);
}

bool PairSearch::try_retarget(double charge, double heat, Rng& rng) {
  const std::size_t slot = rng.below(static_cast<std::uint32_t>(slots_.size()));
  const std::uint32_t expert = rng.below(static_cast<std::uint32_t>(width_ - 1));
  if (!may_retarget(slot, expert)) return false;
  const std::uint32_t old = slots_[slot];
  const double before = worth() - charge * total_excess();
  retarget(slot, expert);
  const double gain = worth() - charge * total_excess() - before;
  if (gain > 0 || rng.uniform() < std::exp(gain / heat)) return true;
  retarget(slot, old);
  return false;
}

bool PairSearch::try_exchange(double charge, double heat, Rng& rng) {
  const std::size_t i = rng.below(static_cast<std::uint32_t>(slots_.size()));
  const std::size_t j = rng.below(static_cast<std::uint32_t>(slots_.size()));
  if (!may_exchange(i, j)) return false;
  const Change change = exchange_of(i, j);
  const double gain = change.worth - charge * change.excess;
  if (gain <= 0 && rng.uniform() >= std::exp(gain / heat)) return false;
  exchange(i, j);
  return true;
}

double PairSearch::usual_change(Rng& rng) {
  double sum = 0;
  int number = 0;
  for (int i = 0; i < 256; ++i) {
    const std::size_t a = rng.below(static_cast<std::uint32_t>(slots_.size()));
    const std::size_t b = rng.below(static_cast<std::uint32_t>(slots_.size()));
    if (!may_exchange(a, b)) continue;
    sum += std::abs(exchange_of(a, b).worth);
    ++number;
  }
  return number > 0 ? sum / number : 0;
}

/// Exchanges what brings loads nearer to their caps, or worth without leaving them.
bool PairSearch::improve(std::size_t i, std::size_t j) {
  if (!may_exchange(i, j)) return false;
  ++tried_;
  const Change change = exchange_of(i, j);
  const bool nearer = change.excess < -kTiny;
  if (!nearer && (change.excess > kTiny || change.worth <= kTiny)) return false;
  exchange(i, j);
  return true;
}

bool PairSearch::descend_once() {
  bool any = false;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    for (std::size_t j = (rank_of(i) + 1) * problem_.slots_per_rank; j < slots_.size(); ++j) {
      any = improve(i, j) || any;
    }
  }
  return any;
}

/// The exchange of a rank over its cap that brings loads down most, of equal ones the worthiest.
bool PairSearch::relieve_once() {
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    double excess = 0;
    for (std::size_t v = 0; v < load_.size(); ++v) excess += excess_of(rank, v, load_[v][rank]);
    if (excess <= kTiny) continue;
    Change best{0, -kTiny};
    std::pair<std::size_t, std::size_t> chosen;
    for (std::size_t i = rank * problem_.slots_per_rank; i < (rank + 1) * problem_.slots_per_rank;
         ++i) {
      for (std::size_t j = 0; j < slots_.size(); ++j) {
        if (!may_exchange(i, j)) continue;
        ++tried_;
        const Change change = exchange_of(i, j);
        const bool alike = std::abs(change.excess - best.excess) <= kTiny;
        if (alike ? change.worth <= best.worth || change.excess > -kTiny
                  : change.excess > best.excess) {
          continue;
        }
        best = change;
        chosen = {i, j};
      }
    }
    if (best.excess >= -kTiny) continue;
    exchange(chosen.first, chosen.second);
    return true;
  }
  return false;
}

void PairSearch::offset(std::span<const double> of_rank) {
  offsets_.resize(ranks_, 0);
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    load_.front()[rank] += of_rank[rank] - offsets_[rank];
    offsets_[rank] = of_rank[rank];
  }
}

void PairSearch::run(std::span<const double> caps, const SearchEffort& effort, Rng& rng) {
  constexpr double kCold = 0.004;  // of a usual change
  constexpr double kCharge = 60;   // of a usual change, per mean load over a cap, at first
  constexpr double kRise = 30;     // by which it has risen at the end
  constexpr int kMostReliefs = 200;
  caps_.assign(caps.begin(), caps.end());
  const double usual = usual_change(rng);
  const bool may_recount = spare_ && !problem_.within_nodes;  // a new replica has no home
  const std::size_t tries = effort.tries;
  if (usual > 0 && tries > 0) {
    double heat = effort.heat * usual;
    double charge = kCharge * usual;
    const double cooling = std::pow(kCold / effort.heat, 1 / static_cast<double>(tries));
    const double rising = std::pow(kRise, 1 / static_cast<double>(tries));
    for (std::size_t i = 0; i < tries; ++i, heat *= cooling, charge *= rising) {
      if (may_recount && i % 8 == 0) {
        try_retarget(charge, heat, rng);
      } else {
        try_exchange(charge, heat, rng);
      }
    }
    tried_ += tries;
  }
  for (std::size_t pass = 0; pass < effort.passes && descend_once(); ++pass) {
  }
  for (int relief = 0; relief < kMostReliefs && relieve_once(); ++relief) {
  }
}

}  // namespace moeshift
