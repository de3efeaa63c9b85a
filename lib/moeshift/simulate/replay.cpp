// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/replay.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{32} << 20U;
constexpr std::size_t kLargestBlock = 256;  // steps

/// Scales all layers of a step alike, so that a layer holds `tokens` on average.
void scale_to(LoadMatrix& load, double tokens, std::size_t top_k, std::int64_t step) {
  double pairs = 0;
  for (const double expert_load : load.items()) pairs += expert_load;
  if (pairs <= 0) {
    throw InputError(
        "", fmt::format("step {} has no load, so it cannot be scaled to {} tokens", step, tokens));
  }
  const double wanted = tokens * static_cast<double>(top_k * load.rows());
  for (double& expert_load : load.items()) expert_load *= wanted / pairs;
}

}  // namespace

void LaneFeed::serve(const LoadMatrix& load, std::size_t repeat) {
  for (std::size_t i = 0; i < repeat; ++i) lane_.serve(load, i > 0);
}

void LaneFeed::push(const LoadMatrix& load, std::size_t repeat) {
  if (!lane_.settings().oracle) {
    serve(load, repeat);
    return;
  }
  if (window_.empty()) load_ = load;
  window_.emplace_back(load.items().begin(), load.items().end());
  repeats_.push_back(repeat);
  steps_ += repeat;
  const std::size_t room = kOracleBytes / (load.items().size() * sizeof(float));
  if (steps_ >= lane_.settings().rule.interval || window_.size() >= room) flush();
}

void LaneFeed::flush() {
  if (window_.empty()) return;
  std::fill(load_.items().begin(), load_.items().end(), 0.0);
  for (std::size_t i = 0; i < window_.size(); ++i) {
    const double weight = static_cast<double>(repeats_[i]) / static_cast<double>(steps_);
    for (std::size_t e = 0; e < window_[i].size(); ++e) {
      load_.items()[e] += weight * static_cast<double>(window_[i][e]);
    }
  }
  lane_.rearrange_for(load_);
  for (std::size_t i = 0; i < window_.size(); ++i) {
    std::copy(window_[i].begin(), window_[i].end(), load_.items().begin());
    serve(load_, repeats_[i]);
  }
  window_.clear();
  repeats_.clear();
  steps_ = 0;
}

void LaneFeed::finish() {
  flush();
}

std::uint64_t replay(const StepSource& source, std::span<Lane* const> lanes,
                     const ReplayOptions& options, Progress& progress) {
  MOESHIFT_CHECK(!lanes.empty() && options.repeat >= 1);
  std::vector<LaneFeed> feeds;
  for (Lane* lane : lanes) feeds.emplace_back(*lane);
  const std::size_t top_k = lanes.front()->deployment().model.top_k();
  std::vector<TraceStep> block(1);
  std::uint64_t read = 0;
  for (bool more = true; more;) {
    std::size_t filled = 0;
    while (filled < block.size() && (more = source(block[filled]))) {
      TraceStep& step = block[filled++];
      if (options.tokens_per_step) scale_to(step.load, *options.tokens_per_step, top_k, step.step);
    }
    read += filled;
    parallel_for(feeds.size(), options.threads, [&](std::size_t lane) {
      for (std::size_t i = 0; i < filled; ++i) feeds[lane].push(block[i].load, options.repeat);
    });
    progress.update("steps", read, 0);
    if (progress.interrupted()) throw InterruptedError();
    const std::size_t bytes = block.front().load.items().size() * sizeof(double);
    block.resize(
        std::clamp<std::size_t>(kBlockBytes / std::max<std::size_t>(bytes, 1), 1, kLargestBlock));
  }
  if (read == 0) throw InputError("", "the trace has no steps to serve");
  parallel_for(feeds.size(), options.threads, [&](std::size_t lane) { feeds[lane].finish(); });
  return read;
}

}  // namespace moeshift
