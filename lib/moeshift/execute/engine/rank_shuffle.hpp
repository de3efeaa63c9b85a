// SPDX-License-Identifier: Apache-2.0
// One rank's way through a job: set up, rearrange, compare; and what is done when it fails.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "moeshift/execute/engine/fingerprints.hpp"
#include "moeshift/execute/engine/observers.hpp"
#include "moeshift/execute/engine/rank_context.hpp"
#include "moeshift/execute/engine/rank_memory.hpp"
#include "moeshift/execute/engine/rank_program.hpp"
#include "moeshift/execute/engine/turn.hpp"
#include "moeshift/execute/shuffle.hpp"

namespace moeshift {

class RankShuffle {
 public:
  RankShuffle(Member& member, const ShuffleJob& job, const ShuffleOptions& options);

  [[nodiscard]] RankOutcome run();

 private:
  void perform();
  void begin_again();
  void compare_with_baseline();
  [[nodiscard]] Failure root_cause(Failure mine) const;
  void fail(Failure failure);
  void settle();
  void survey_after_failure();
  [[nodiscard]] Fingerprints* fingerprints() { return fingerprints_ ? &*fingerprints_ : nullptr; }
  [[nodiscard]] const ShuffleJob& job() const { return *jobs_[way_]; }

  const ShuffleOptions& options_;
  std::vector<const ShuffleJob*> jobs_;  ///< there, and perhaps back
  std::size_t way_ = 0;                  ///< which of them is being done
  MessageRules rules_;
  std::vector<RankProgram> programs_;  ///< by job, all with room for the largest
  std::vector<RankMemory> memories_;   ///< by job, the same blocks; empty until they are taken
  RankOutcome outcome_;
  Observers observers_;
  RankContext context_;
  TimelineObserver timeline_;
  ProfilerObserver profiler_;
  std::optional<Fingerprints> fingerprints_;  ///< of the caller's weights
  std::unique_ptr<Foreground> foreground_;
  std::optional<Turn> turn_;
};

}  // namespace moeshift
