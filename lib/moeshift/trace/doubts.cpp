// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/doubts.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Of pairs of steps: counters that are set back every third step still grow in two of three pairs;
/// loads of their own that grow in all experts and layers at once are rare even in one.
constexpr double kGrowingShare = 0.6;
constexpr std::size_t kGrowingPairs = 3;
/// Of a few steps only so many counts, all of which grow, say the same.
constexpr std::size_t kGrowingCounts = 12;
/// A recorder that stops in the middle of a pass makes layers differ by far less.
constexpr double kOtherwise = 0.05;
constexpr double kAlike = 0.02;
constexpr std::size_t kVariedCounts = 32;
constexpr std::size_t kVariedKinds = 8;

double median_of_filled(std::span<const double> totals) {
  std::vector<double> filled;
  std::ranges::copy_if(totals, std::back_inserter(filled), [](double sum) { return sum > 0; });
  if (filled.empty()) return 0;
  const auto middle = filled.begin() + static_cast<std::ptrdiff_t>(filled.size() / 2);
  std::ranges::nth_element(filled, middle);
  return *middle;
}

/// Whether equal loads by chance are out of the question: many numbers, of several kinds.
bool is_varied(const LoadMatrix& load) {
  const auto items = load.items();
  const std::set<double> kinds(items.begin(), items.end());
  return items.size() >= kVariedCounts && kinds.size() >= kVariedKinds;
}

}  // namespace

void TraceDoubts::Sighting::see(std::int64_t at_step, std::size_t at_layer, double how_bad) {
  if (count == 0) {
    step = at_step;
    layer = at_layer;
  }
  ++count;
  value = std::max(value, how_bad);
}

TraceDoubts::TraceDoubts(const TraceHeader& header)
    : header_(header),
      chosen_by_all_(header.num_experts, 0),
      ratio_sum_(header.num_layers, 0.0),
      ratio_count_(header.num_layers, 0),
      falls_(header.num_layers, false) {}

void TraceDoubts::add(const TraceStep& step) {
  MOESHIFT_CHECK(step.load.rows() == header_.num_layers &&
                 step.load.columns() == header_.num_experts);
  std::vector<double> totals;
  for (const LayerId layer : step.load.row_ids()) {
    const auto row = step.load.row(layer);
    totals.push_back(std::accumulate(row.begin(), row.end(), 0.0));
    check_layer(step, layer, totals.back());
  }
  check_totals(step, totals);
  compare(step);
  ascending_ = ascending_ && step.step > last_step_;
  last_step_ = step.step;
  last_ = step.load;
  ++num_steps_;
}

void TraceDoubts::check_layer(const TraceStep& step, LayerId layer, double total) {
  if (total <= 0) {
    empty_.see(step.step, layer.index(), 0);
    return;
  }
  ++filled_rows_;
  if (!header_.top_k) return;
  const auto top_k = static_cast<double>(*header_.top_k);
  if (std::fmod(total, top_k) != 0) indivisible_.see(step.step, layer.index(), 0);
  const auto row = step.load.row(layer);
  const double rate = *std::ranges::max_element(row) * top_k / total;
  if (rate > 1) above_ceiling_.see(step.step, layer.index(), rate);
  for (std::size_t expert = 0; expert < row.size(); ++expert) {
    if (row[expert] * top_k == total) ++chosen_by_all_[expert];
  }
}

void TraceDoubts::check_totals(const TraceStep& step, std::span<const double> totals) {
  const double median = median_of_filled(totals);
  double smallest = median;
  double largest = median;
  for (std::size_t layer = 0; layer < totals.size(); ++layer) {
    if (totals[layer] <= 0) continue;
    smallest = std::min(smallest, totals[layer]);
    largest = std::max(largest, totals[layer]);
    ratio_sum_[layer] += totals[layer] / median;
    ++ratio_count_[layer];
  }
  if (largest > smallest) unequal_.see(step.step, 0, (largest - smallest) / largest);
}

void TraceDoubts::compare(const TraceStep& step) {
  if (num_steps_ == 0) return;
  // Loads of their own are never the same to the last token, unless all are alike or nearly none.
  if (step.load == last_ && is_varied(step.load)) ++repeated_steps_;
  std::size_t growing = 0;
  bool falls = false;
  for (const LayerId layer : step.load.row_ids()) {
    const auto now = step.load.row(layer);
    const auto before = last_.row(layer);
    bool layer_falls = false;
    for (std::size_t i = 0; i < now.size() && !layer_falls; ++i) {
      growing += now[i] > before[i] ? 1U : 0U;
      layer_falls = now[i] < before[i];
    }
    falls |= layer_falls;
    if (layer_falls) falls_[layer.index()] = true;
  }
  if (falls) {
    ++falling_pairs_;
  } else if (growing > 0) {
    ++growing_pairs_;
    growing_counts_ += growing;
  }
}

double TraceDoubts::mean_ratio(std::size_t layer) const {
  return ratio_sum_[layer] / static_cast<double>(ratio_count_[layer]);
}

std::vector<std::size_t> TraceDoubts::layers_counted_otherwise() const {
  std::vector<std::size_t> off;
  std::size_t filled = 0;
  std::size_t between = 0;
  for (std::size_t layer = 0; layer < ratio_sum_.size(); ++layer) {
    if (ratio_count_[layer] == 0) continue;
    ++filled;
    const double distance = std::abs(mean_ratio(layer) - 1);
    if (distance > kOtherwise) off.push_back(layer);
    if (distance > kAlike && distance <= kOtherwise) ++between;
  }
  // The rest must agree, or there is no "otherwise".
  const bool few = filled >= 3 && off.size() <= std::max<std::size_t>(1, filled / 4);
  return few && between == 0 ? off : std::vector<std::size_t>();
}

std::string TraceDoubts::layer_name(std::size_t layer) const {
  if (header_.layer_ids.empty()) return fmt::format("layer {}", layer);
  return fmt::format("layer {}", header_.layer_ids[layer]);
}

void TraceDoubts::warn_of_top_k(std::vector<TraceWarning>& found) const {
  const auto first = [&](const Sighting& s) {
    return fmt::format("first in step {}, {}", s.step, layer_name(s.layer));
  };
  if (!header_.top_k) {
    found.push_back({"top_k_unknown", "the header does not state top_k",
                     "add \"top_k\" to it, so that the totals can be checked against it"});
  }
  if (indivisible_.count > 0) {
    found.push_back({"top_k_divisibility",
                     fmt::format("{} layer totals are not divisible by top_k = {} ({})",
                                 indivisible_.count, *header_.top_k, first(indivisible_)),
                     "check top_k; if it is right the recorder lost counts, drop those steps"});
  }
  if (above_ceiling_.count > 0) {
    found.push_back(
        {"top_k_ceiling",
         fmt::format("an expert is chosen up to {:.2f} times per token in {} layers of steps ({})",
                     above_ceiling_.value, above_ceiling_.count, first(above_ceiling_)),
         "check top_k; loads may also be per rank or weighted, record assignments instead"});
  }
}

void TraceDoubts::warn_of_shared(std::vector<TraceWarning>& found) const {
  for (std::size_t expert = 0; expert < chosen_by_all_.size(); ++expert) {
    if (filled_rows_ < 2 || chosen_by_all_[expert] != filled_rows_ || header_.top_k == 1U) continue;
    found.push_back({"shared_expert",
                     fmt::format("expert {} is chosen by every token in every layer", expert),
                     "a shared expert was counted as a routed one: record without it, since "
                     "engines do not move it",
                     true});
  }
}

void TraceDoubts::warn_of_totals(std::vector<TraceWarning>& found) const {
  const std::vector<std::size_t> off = layers_counted_otherwise();
  for (const std::size_t layer : off) {
    const bool total = mean_ratio(layer) > 1 && !falls_[layer] && num_steps_ >= kGrowingPairs;
    found.push_back({"layer_counted_otherwise",
                     fmt::format("{} counts {:.2f} times the tokens of the other layers",
                                 layer_name(layer), mean_ratio(layer)),
                     total ? "no count of it ever falls from one step to the next, so it is a "
                             "running total: trace convert `differences` makes loads of it"
                           : "passes that the others do not count (a draft model's, say) are in "
                             "it: record anew, or leave it out with trace select `layers`",
                     true});
  }
  if (unequal_.count == 0 || !off.empty()) return;
  bool throughout = false;  // not in single steps
  for (std::size_t layer = 0; layer < ratio_sum_.size(); ++layer) {
    throughout |= ratio_count_[layer] > 0 && std::abs(mean_ratio(layer) - 1) > kOtherwise;
  }
  found.push_back({"unequal_totals",
                   fmt::format("layers of one step differ in total by up to {:.3g} % in {} steps "
                               "(first in step {})",
                               100 * unequal_.value, unequal_.count, unequal_.step),
                   unequal_.value < 1e-3
                       ? "a recorder stopped in the middle of a pass; harmless at this size"
                       : "check that all layers are counted over the same tokens",
                   throughout});
}

void TraceDoubts::warn_of_running_totals(std::vector<TraceWarning>& found) const {
  const double pairs = static_cast<double>(growing_pairs_ + falling_pairs_);
  const bool few = growing_pairs_ < kGrowingPairs;
  const bool totals = few ? falling_pairs_ == 0 && growing_counts_ >= kGrowingCounts
                          : static_cast<double>(growing_pairs_) >= kGrowingShare * pairs;
  if (!totals) return;
  const std::string seen =
      falling_pairs_ == 0
          ? "no count ever falls from one step to the next"
          : fmt::format("no count falls in {} of {} steps: the counter began anew {} times",
                        growing_pairs_, growing_pairs_ + falling_pairs_, falling_pairs_);
  found.push_back({"cumulative", seen,
                   std::string(few ? "each pass has more tokens, or " : "") +
                       "the recorder writes running totals: trace convert `differences` makes "
                       "loads of them",
                   true});
}

std::vector<TraceWarning> TraceDoubts::warnings() const {
  std::vector<TraceWarning> found;
  warn_of_top_k(found);
  warn_of_shared(found);
  warn_of_totals(found);
  if (empty_.count > 0) {
    found.push_back(
        {"empty_layers",
         fmt::format("{} layers of steps have no load at all (first in step {}, {})", empty_.count,
                     empty_.step, layer_name(empty_.layer)),
         "drop warm-up steps with `windows`; a dense layer does not belong in a trace"});
  }
  warn_of_running_totals(found);
  if (repeated_steps_ > 0) {
    found.push_back({"repeated_steps",
                     fmt::format("{} of {} steps have the loads of the step before them, to the "
                                 "last token",
                                 repeated_steps_, num_steps_),
                     "a snapshot was written again without passes between, and each counts: leave "
                     "them out with trace select `steps`",
                     true});
  }
  if (!ascending_) {
    found.push_back({"step_order", "step numbers do not ascend",
                     "a ring buffer was dumped as it lay, or files were joined: trace join `sort`",
                     true});
  }
  return found;
}

}  // namespace moeshift
