// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/step_blocks.hpp"

#include <vector>

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

/// Feeds step times one by one, `passes` of each recording.
StepBlocks watched(const std::vector<double>& seconds, std::uint64_t passes = 1,
                   std::uint64_t skip = 0) {
  StepBlocks blocks(skip);
  for (std::uint64_t number = 0; number < seconds.size(); ++number) {
    blocks.add(number / passes, number, Seconds(seconds[number]));
  }
  return blocks;
}

}  // namespace

TEST_CASE("the passes of one recording are one observation") {
  const StepBlocks blocks = watched({1, 1, 1, 2, 2, 2, 4}, 3);
  CHECK(blocks.blocks().size() == 3);
  CHECK(blocks.means() == std::vector<double>{1, 2, 4});
}

TEST_CASE("recordings of unlike numbers of passes weigh as one observation each") {
  StepBlocks blocks;
  std::uint64_t number = 0;
  for (std::uint64_t recording = 0; recording < 4; ++recording) {
    for (std::uint64_t pass = 0; pass <= 3 * recording; ++pass) {
      blocks.add(recording, number++, Seconds(static_cast<double>(recording)));
    }
  }
  CHECK(blocks.means() == std::vector<double>{0, 1, 2, 3});
}

TEST_CASE("the last block is left out of the means when it is less than half full") {
  std::vector<double> seconds(2 * StepBlocks::kMostBlocks, 1);  // two recordings a block, then four
  for (std::size_t i = 0; i < StepBlocks::kMostBlocks; ++i) seconds.push_back(1);
  seconds.resize(seconds.size() / 4 * 4 + 1, 7);
  CHECK(watched(seconds).means().back() == 1);
}

TEST_CASE("the number of blocks is bounded and no step is lost") {
  const StepBlocks blocks = watched(std::vector<double>(1000, 0.5));
  CHECK(blocks.blocks().size() <= StepBlocks::kMostBlocks);
  CHECK(blocks.steps() == 1000);
  CHECK(blocks.mean().count() == Approx(0.5));
}

TEST_CASE("the warm-up does not count") {
  const StepBlocks blocks = watched({9, 9, 1, 2}, 1, 2);
  CHECK(blocks.steps() == 2);
  CHECK(blocks.mean().count() == Approx(1.5));
}

TEST_CASE("quantiles are those of all steps to within a bucket") {
  std::vector<double> seconds;
  for (int i = 1; i <= 100; ++i) seconds.push_back(i * 1e-3);
  const StepBlocks blocks = watched(seconds);
  CHECK(blocks.quantile(0.5).count() == Approx(0.050).epsilon(0.002));
  CHECK(blocks.quantile(0.99).count() == Approx(0.099).epsilon(0.002));
}

TEST_CASE("a lane that is always slower is told from the other in mean and in p99") {
  std::vector<double> fast;
  std::vector<double> slow;
  for (int i = 0; i < 64; ++i) {
    fast.push_back(0.01 + 0.001 * (i % 7));
    slow.push_back(fast.back() + 0.0005);
  }
  const PairedDifference mean = mean_difference(watched(slow), watched(fast));
  CHECK(mean.certain());
  CHECK(mean.mean == Approx(0.0005));
  CHECK(quantile_difference(watched(slow), watched(fast), 0.99).low > 0);
}

TEST_CASE("a quantile of few blocks has no interval") {
  const PairedDifference difference =
      quantile_difference(watched({1, 2, 3}), watched({1, 1, 1}), 0.99);
  CHECK(difference.method == IntervalMethod::kNone);
}
