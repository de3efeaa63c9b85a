// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/step_blocks.hpp"

#include <algorithm>
#include <cmath>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"

namespace moeshift {
namespace {

const double kBucketWidth = std::log(1.002);

int bucket_of(Seconds value) {
  const double seconds = std::max(value.count(), 1e-12);
  return static_cast<int>(std::floor(std::log(seconds) / kBucketWidth));
}

Seconds middle_of(int bucket) {
  return Seconds(std::exp((bucket + 0.5) * kBucketWidth));
}

Seconds quantile_of(const std::map<int, std::uint64_t>& times, std::uint64_t steps, double share) {
  if (steps == 0) return {};
  const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(steps)));
  std::uint64_t below = 0;
  for (const auto& [bucket, count] : times) {
    below += count;
    if (below >= std::max<std::uint64_t>(rank, 1)) return middle_of(bucket);
  }
  return middle_of(times.rbegin()->first);
}

/// Buckets of the drawn blocks added up, read at `share`.
Seconds quantile_of(const std::vector<StepBlocks::Block>& blocks,
                    const std::vector<std::size_t>& drawn, double share) {
  std::map<int, std::uint64_t> times;
  std::uint64_t steps = 0;
  for (const std::size_t block : drawn) {
    steps += blocks[block].steps;
    for (const auto& [bucket, count] : blocks[block].times) times[bucket] += count;
  }
  return quantile_of(times, steps, share);
}

}  // namespace

void StepBlocks::add(std::uint64_t recording, std::uint64_t number, Seconds time) {
  if (number < skip_) return;
  const bool first = blocks_.empty();
  if (first || recording != recording_) {
    if (first || blocks_.back().recordings == block_recordings_) {
      if (blocks_.size() == kMostBlocks) join_neighbours();
      blocks_.emplace_back();
    }
    ++blocks_.back().recordings;
    recording_ = recording;
  }
  Block& block = blocks_.back();
  ++block.steps;
  block.sum += time;
  ++block.times[bucket_of(time)];
}

void StepBlocks::join_neighbours() {
  std::vector<Block> joined;
  for (std::size_t i = 0; i < blocks_.size(); i += 2) {
    Block block = std::move(blocks_[i]);
    block.recordings += blocks_[i + 1].recordings;
    block.steps += blocks_[i + 1].steps;
    block.sum += blocks_[i + 1].sum;
    for (const auto& [bucket, count] : blocks_[i + 1].times) block.times[bucket] += count;
    joined.push_back(std::move(block));
  }
  blocks_ = std::move(joined);
  block_recordings_ *= 2;
}

std::vector<double> StepBlocks::means(double weight) const {
  std::vector<double> means;
  for (const Block& block : blocks_) {
    if (2 * block.recordings < block_recordings_) continue;
    means.push_back(weight * block.sum.count() / static_cast<double>(block.steps));
  }
  return means;
}

std::uint64_t StepBlocks::steps() const {
  std::uint64_t steps = 0;
  for (const Block& block : blocks_) steps += block.steps;
  return steps;
}

Seconds StepBlocks::mean() const {
  Seconds sum;
  for (const Block& block : blocks_) sum += block.sum;
  return blocks_.empty() ? Seconds() : sum / static_cast<double>(steps());
}

Seconds StepBlocks::quantile(double share) const {
  std::vector<std::size_t> all(blocks_.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return quantile_of(blocks_, all, share);
}

PairedDifference mean_difference(const StepBlocks& a, const StepBlocks& b,
                                 const DifferenceOptions& options) {
  return paired_difference(a.means(), b.means(), options);
}

PairedDifference quantile_difference(const StepBlocks& a, const StepBlocks& b, double share,
                                     const DifferenceOptions& options) {
  const std::size_t n = a.blocks().size();
  MOESHIFT_CHECK(n == b.blocks().size() && options.resamples >= 2);
  PairedDifference difference;
  difference.pairs = n;
  difference.mean = (a.quantile(share) - b.quantile(share)).count();
  difference.low = difference.high = difference.mean;
  if (n < kFewPairs) return difference;
  difference.method = IntervalMethod::kBootstrap;
  difference.block = 1;
  Rng rng(options.seed);
  std::vector<double> drawn_differences(options.resamples);
  std::vector<std::size_t> drawn(n);
  for (double& value : drawn_differences) {
    for (std::size_t& block : drawn) block = rng.below(static_cast<std::uint32_t>(n));
    value = (quantile_of(a.blocks(), drawn, share) - quantile_of(b.blocks(), drawn, share)).count();
  }
  std::sort(drawn_differences.begin(), drawn_differences.end());
  const auto at = [&](double part) {
    const auto last = static_cast<double>(drawn_differences.size() - 1);
    return drawn_differences[static_cast<std::size_t>(std::lround(part * last))];
  };
  difference.low = std::min(difference.mean, at((1 - options.level) / 2));
  difference.high = std::max(difference.mean, at((1 + options.level) / 2));
  return difference;
}

}  // namespace moeshift
