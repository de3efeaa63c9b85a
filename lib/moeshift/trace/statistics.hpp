// SPDX-License-Identifier: Apache-2.0
// How unequal a trace is, how fast it moves, and whether it can be what it says it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/model/load.hpp"
#include "moeshift/trace/doubts.hpp"

namespace moeshift {

/// Hottest expert / mean expert, >= 1; 0 for a layer without load.
[[nodiscard]] double expert_imbalance(std::span<const double> loads);
/// Gini coefficient: 0 = all equal, 1 - 1/E = one expert takes all. Sorts a copy.
[[nodiscard]] double gini(std::span<const double> loads);
/// Standard deviation / mean (population), 0 for a layer without load.
[[nodiscard]] double coefficient_of_variation(std::span<const double> loads);
/// Half the summed difference of the normalised loads: the share of tokens that would have to
/// change experts. 0 when either is without load.
[[nodiscard]] double total_variation(std::span<const double> before, std::span<const double> after);
/// The `count` hottest experts, ascending by id; ties go to the lower id.
[[nodiscard]] std::vector<std::uint32_t> hottest_experts(std::span<const double> loads,
                                                         std::size_t count);
/// How many experts make the "hot set" of which drift is told: 8, but at most a quarter of all.
[[nodiscard]] std::size_t hot_set_size(std::size_t num_experts);

/// One layer, over the sum of all steps, and its change from step to step.
struct LayerStatistics {
  double tokens = 0;     ///< assignments (tokens * top_k)
  double imbalance = 0;  ///< hottest / mean expert
  double gini = 0;
  double cv = 0;
  std::size_t idle_experts = 0;     ///< never chosen
  double step_imbalance = 0;        ///< mean over steps of hottest / mean expert
  double step_variation = 0;        ///< mean total variation of consecutive steps
  double step_hot_overlap = 0;      ///< mean share of the hot set that stays
  std::vector<double> expert_load;  ///< [num_experts], summed over steps
};

/// From the step before to this one, mean over layers.
struct StepDrift {
  double variation = 0;
  double hot_overlap = 1;
};

struct TraceStatistics {
  std::size_t num_steps = 0;
  std::optional<double> tokens;  ///< mean over layers of assignments / top_k; needs top_k
  std::size_t hot_set = 0;
  std::vector<LayerStatistics> layers;
  std::vector<StepDrift> drift;  ///< [num_steps - 1]
  std::vector<TraceWarning> warnings;
};

/// Takes steps one at a time; memory is a few matrices and two numbers per step.
class TraceObserver {
 public:
  explicit TraceObserver(const TraceHeader& header);

  /// `step` has the header's shape.
  void add(const TraceStep& step);
  [[nodiscard]] TraceStatistics finish() const;

 private:
  void compare(const TraceStep& step);

  TraceHeader header_;
  TraceDoubts doubts_;
  std::size_t hot_set_;
  std::size_t num_steps_ = 0;
  LoadMatrix sum_;
  LoadMatrix last_;
  std::vector<std::vector<std::uint32_t>> last_hot_;
  std::vector<double> imbalance_sum_;
  std::vector<double> variation_sum_;
  std::vector<double> overlap_sum_;
  std::vector<StepDrift> drift_;
};

}  // namespace moeshift
