// SPDX-License-Identifier: Apache-2.0
// How far a rearrangement is, from what its first rank tells.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <utility>

#include "moeshift/core/progress.hpp"
#include "moeshift/execute/observer.hpp"
#include "moeshift/execute/shuffle.hpp"

namespace moeshift::cli {

/// What the parts of a rearrangement take beside each other, in bytes that go through memory.
struct ShuffleWork {
  double prepare = 0;  ///< the first touch of all memory
  double write = 0;    ///< the weights
  double move = 0;     ///< per repetition
  double compare = 0;  ///< per repetition
  std::size_t repetitions = 1;

  [[nodiscard]] double whole() const {
    return prepare + write + static_cast<double>(repetitions) * (move + compare);
  }
};
[[nodiscard]] ShuffleWork work_of(const ShuffleJob& job, const ShuffleOptions& options);

/// From a rank's thread, in which Ctrl-C is for its next wait to see, and ends the rank in order.
void tell_progress(Progress& progress, std::string_view what, double done, double whole);

/// Rank 0 tells for all: each part and repetition adds to one work.
class ShuffleProgress final : public ShuffleObserver {
 public:
  /// @param tell from the rank's thread: what is being done, and how much of `work.whole()` is
  using Tell = std::function<void(std::string_view what, double done)>;

  ShuffleProgress(ShuffleWork work, Tell tell) : work_(work), tell_(std::move(tell)) {}
  ShuffleProgress(ShuffleWork work, Progress& progress)
      : ShuffleProgress(work,
                        [&progress, whole = work.whole()](std::string_view what, double done) {
                          tell_progress(progress, what, done, whole);
                        }) {}

  void progressed(RankId rank, std::string_view what, std::size_t done, std::size_t total) override;

 private:
  ShuffleWork work_;
  Tell tell_;
  std::size_t repetition_ = 0;
  bool moved_ = false;  ///< this repetition's last batch has been told
};

}  // namespace moeshift::cli
