// SPDX-License-Identifier: Apache-2.0
// Whether a trace can be what it says it is: what every command that reads one tells its user.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// Something that does not fit. `text` says what was seen, `advice` what to do about it.
struct TraceWarning {
  std::string_view kind;  ///< "top_k_divisibility", "cumulative", "layer_counted_otherwise", ...
  std::string text;
  std::string advice;
  /// What is planned or simulated on it would be wrong: said by every command, not only by the one
  /// that describes traces.
  bool grave = false;
};

/// Takes steps one at a time; memory is two matrices and a few numbers per layer and expert.
///
/// Looks for: layer totals that top_k does not divide; an expert chosen more often than there are
/// tokens (max * top_k > sum); an expert chosen by every token of every layer (a shared one);
/// layers of one step with unequal totals, and a single layer that counts otherwise than the rest;
/// layers without load; steps that repeat the one before; counts that only grow, also where the
/// counter began anew in between; step numbers that do not ascend; top_k not stated. O(layers *
/// experts) a step.
class TraceDoubts {
 public:
  explicit TraceDoubts(const TraceHeader& header);

  /// `step` has the header's shape.
  void add(const TraceStep& step);
  [[nodiscard]] std::vector<TraceWarning> warnings() const;

 private:
  /// How often something was seen, and where first.
  struct Sighting {
    std::size_t count = 0;
    std::int64_t step = 0;
    std::size_t layer = 0;
    double value = 0;  ///< of the worst one
    void see(std::int64_t at_step, std::size_t at_layer, double how_bad);
  };

  void check_layer(const TraceStep& step, LayerId layer, double total);
  void check_totals(const TraceStep& step, std::span<const double> totals);
  void compare(const TraceStep& step);
  void warn_of_top_k(std::vector<TraceWarning>& found) const;
  void warn_of_totals(std::vector<TraceWarning>& found) const;
  void warn_of_shared(std::vector<TraceWarning>& found) const;
  void warn_of_running_totals(std::vector<TraceWarning>& found) const;
  [[nodiscard]] std::vector<std::size_t> layers_counted_otherwise() const;
  [[nodiscard]] double mean_ratio(std::size_t layer) const;
  [[nodiscard]] std::string layer_name(std::size_t layer) const;

  TraceHeader header_;
  std::size_t num_steps_ = 0;
  LoadMatrix last_;
  bool ascending_ = true;
  std::int64_t last_step_ = -1;
  std::size_t growing_pairs_ = 0;   ///< of consecutive steps: something grows, nothing falls
  std::size_t growing_counts_ = 0;  ///< in those
  std::size_t falling_pairs_ = 0;
  std::size_t repeated_steps_ = 0;  ///< equal to the step before
  std::size_t filled_rows_ = 0;
  std::vector<std::size_t> chosen_by_all_;  ///< [experts] rows in which every token chose it
  std::vector<double> ratio_sum_;           ///< [layers] total / median total of the step
  std::vector<std::size_t> ratio_count_;
  std::vector<bool> falls_;  ///< [layers] a count of the layer is less than in the step before
  Sighting indivisible_, above_ceiling_, unequal_, empty_;
};

}  // namespace moeshift
