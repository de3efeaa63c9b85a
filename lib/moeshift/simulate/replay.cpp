// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/replay.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{16} << 20U;  // two blocks are in memory
constexpr std::size_t kLargestBlock = 256;                   // steps
/// Lanes serve a block one after another, dear ones and cheap ones: in few blocks progress would
/// stand still and jump.
constexpr std::size_t kFewestBlocks = 32;

double pairs_of(const LoadMatrix& load) {
  return std::accumulate(load.items().begin(), load.items().end(), 0.0);
}

/// Scales all layers of a step alike, so that a layer with load holds `tokens` on average.
void scale_to(LoadMatrix& load, double tokens, std::size_t top_k, std::int64_t step) {
  const double pairs = pairs_of(load);
  if (pairs <= 0) {
    throw InputError(
        "", fmt::format("step {} has no load, so it cannot be scaled to {} tokens", step, tokens));
  }
  const double wanted = tokens * static_cast<double>(top_k * loaded_layers(load));
  for (double& expert_load : load.items()) expert_load *= wanted / pairs;
}

/// Cuts a step into equal parts of at most `most` tokens. @return how many.
std::size_t cut_to(LoadMatrix& load, double most, std::size_t top_k) {
  const std::size_t loaded = std::max<std::size_t>(loaded_layers(load), 1);
  const double tokens = pairs_of(load) / static_cast<double>(top_k * loaded);
  const double parts = std::max(1.0, std::ceil(tokens / most - 1e-9));
  if (parts == 1) return 1;
  for (double& expert_load : load.items()) expert_load /= parts;
  return static_cast<std::size_t>(parts);
}

/// One recorded step and how often it is served.
struct Passes {
  TraceStep step;
  std::size_t count = 1;
};

void prepare(Passes& passes, const ReplayOptions& options, const ServingModel& model) {
  passes.count = options.repeat;
  TraceStep& step = passes.step;
  if (options.tokens_per_step) {
    scale_to(step.load, *options.tokens_per_step, model.top_k(), step.step);
    return;
  }
  if (options.repeat > 1) {
    for (double& tokens : step.load.items()) tokens /= static_cast<double>(options.repeat);
  }
  if (options.most_tokens_per_rank) {
    const auto ranks = static_cast<double>(model.ranks_serving());
    passes.count *= cut_to(step.load, *options.most_tokens_per_rank * ranks, model.top_k());
  }
}

/// Some steps of the trace, ready to be served.
class Block {
 public:
  /// @param ended becomes true with the last step: no source is asked again after that.
  Block(const StepSource& source, const ReplayOptions& options, const ServingModel& model,
        bool& ended)
      : source_(&source), options_(&options), model_(&model), ended_(&ended), passes_(1) {}

  /// Reads as many steps as kBlockBytes hold; one at first, as their size is not known before.
  void fill() {
    const std::size_t bytes = passes_.front().step.load.items().size() * sizeof(double);
    if (bytes > 0) {
      passes_.resize(std::clamp<std::size_t>(kBlockBytes / bytes, 1, largest()));
    }
    filled_ = 0;
    while (filled_ < passes_.size() && !*ended_) {
      *ended_ = !(*source_)(passes_[filled_].step);
      if (!*ended_) prepare(passes_[filled_++], *options_, *model_);
    }
  }

  /// @param pushed called after each step.
  void feed(LaneFeed& lane, const std::function<void()>& pushed) const {
    for (std::size_t i = 0; i < filled_; ++i) {
      lane.push(passes_[i].step.load, passes_[i].count);
      pushed();
    }
  }

  [[nodiscard]] std::size_t filled() const { return filled_; }

 private:
  [[nodiscard]] std::size_t largest() const {
    const std::uint64_t steps = options_->recorded_steps.value_or(0);
    if (steps == 0) return kLargestBlock;
    return std::clamp<std::size_t>(steps / kFewestBlocks, 1, kLargestBlock);
  }

  const StepSource* source_;
  const ReplayOptions* options_;
  const ServingModel* model_;
  bool* ended_;
  std::vector<Passes> passes_;
  std::size_t filled_ = 0;
};

}  // namespace

void LaneFeed::serve(const LoadMatrix& load, std::size_t repeat) {
  lane_.serve(load, repeat);
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
  bool ended = false;
  Block now(source, options, lanes.front()->deployment().model, ended);
  Block next = now;
  std::uint64_t read = 0;
  std::atomic<std::uint64_t> pushed = 0;  // steps of all lanes together
  const auto tell = [&] {
    progress.update("steps", ++pushed, options.recorded_steps.value_or(0) * feeds.size());
  };
  next.fill();
  while (next.filled() > 0) {
    std::swap(now, next);
    read += now.filled();
    // The next block is parsed while the lanes serve this one.
    parallel_for(feeds.size() + 1, options.threads, [&](std::size_t task) {
      if (task == 0) {
        next.fill();
      } else {
        now.feed(feeds[task - 1], tell);
      }
    });
    if (progress.interrupted()) throw InterruptedError();
  }
  if (read == 0) throw InputError("", "the trace has no steps to serve");
  parallel_for(feeds.size(), options.threads, [&](std::size_t lane) { feeds[lane].finish(); });
  return read;
}

}  // namespace moeshift
