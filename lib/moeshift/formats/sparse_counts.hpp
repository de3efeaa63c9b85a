// SPDX-License-Identifier: Apache-2.0
// Counts by (step, layer, expert) in any order, for formats that leave out what is zero. Internal
// to formats/.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

/// Collects rows of loads under the model's own layer numbers.
class SparseCounts {
 public:
  explicit SparseCounts(std::size_t num_experts) : num_experts_(num_experts) {}

  [[nodiscard]] std::size_t num_experts() const { return num_experts_; }
  /// The loads of a layer in a step, [num_experts], zero at first.
  [[nodiscard]] std::vector<double>& row(std::int64_t step, std::int64_t layer);
  /// The steps in ascending order, each with all layers that any step has (their numbers become the
  /// header's layer_ids). @throws InputError when there is none, or too many.
  [[nodiscard]] std::unique_ptr<TraceReader> reader(TraceHeader header, const std::string& where,
                                                    std::optional<std::int64_t> rank,
                                                    RankFile file) &&;
  /// Takes out the steps that lack a layer which others have. @return how many.
  std::size_t drop_incomplete();

 private:
  std::size_t num_experts_;
  std::map<std::int64_t, std::map<std::int64_t, std::vector<double>>> steps_;
};

}  // namespace moeshift
