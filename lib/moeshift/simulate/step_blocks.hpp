// SPDX-License-Identifier: Apache-2.0
// Step times in blocks of consecutive steps: what tells two lanes apart beyond chance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "moeshift/judge/paired_difference.hpp"
#include "moeshift/simulate/step_observer.hpp"

namespace moeshift {

/// What one lane's steps took. Memory does not depend on the number of steps: at most kMostBlocks
/// blocks, two neighbours are joined when there are more. A block holds whole recordings: the
/// forward passes that one recorded step stands for are one observation and not many.
class StepBlocks {
 public:
  /// @param skip steps at the start that do not count: the warm-up.
  explicit StepBlocks(std::uint64_t skip = 0) : skip_(skip) {}

  /// @param recording that the step is a pass of, counted from the first; ascending.
  /// @param number of the step, counted from the lane's first.
  void add(std::uint64_t recording, std::uint64_t number, Seconds time);

  struct Block {
    std::uint64_t recordings = 0;
    std::uint64_t steps = 0;
    Seconds sum;
    std::map<int, std::uint64_t> times;  ///< geometric buckets of 0.2 % -> steps
  };

  /// In the order of time; the last one may be short.
  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }
  /// Mean step seconds of every block at least half full, times `weight`.
  [[nodiscard]] std::vector<double> means(double weight = 1) const;
  /// Over all steps that count; 0 without any.
  [[nodiscard]] Seconds mean() const;
  /// Of rank ceil(share * steps), within 0.1 %; 0 without any.
  [[nodiscard]] Seconds quantile(double share) const;
  [[nodiscard]] std::uint64_t steps() const;

  static constexpr std::size_t kMostBlocks = 128;

 private:
  void join_neighbours();

  std::uint64_t skip_;
  std::uint64_t block_recordings_ = 1;  // of every block but the last
  std::uint64_t recording_ = 0;         // the last one seen
  std::vector<Block> blocks_;
};

/// Fills blocks from a lane that it observes.
class BlockRecorder final : public StepObserver {
 public:
  explicit BlockRecorder(StepBlocks& blocks) : blocks_(blocks) {}

  void served(const ServedStep& step, const LoadMatrix&, const std::vector<LayerDispatch>&,
              const ServingModel&) override {
    blocks_.add(step.recording, step.number, step.stall + step.served);
  }

 private:
  StepBlocks& blocks_;
};

/// Difference of the mean step times a - b, block by block. Both watched the same steps.
[[nodiscard]] PairedDifference mean_difference(const StepBlocks& a, const StepBlocks& b,
                                               const DifferenceOptions& options = {});

/// Difference of a quantile of the step times, a - b, with a bootstrap over blocks (the same blocks
/// for both); without an interval for fewer than kFewPairs blocks.
[[nodiscard]] PairedDifference quantile_difference(const StepBlocks& a, const StepBlocks& b,
                                                   double share,
                                                   const DifferenceOptions& options = {});

}  // namespace moeshift
