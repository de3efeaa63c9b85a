// SPDX-License-Identifier: Apache-2.0
// A rank until the clock starts: agreement, memory, weights, connections. Nothing is live yet.
#pragma once

#include <memory>
#include <vector>

#include "moeshift/execute/engine/fingerprints.hpp"
#include "moeshift/execute/engine/rank_context.hpp"
#include "moeshift/execute/engine/rank_memory.hpp"
#include "moeshift/execute/engine/rank_program.hpp"

namespace moeshift {

class Setup {
 public:
  /// @param jobs there, and perhaps back.
  /// @param programs one for each; they outlive the memory that is made for them.
  Setup(RankContext& context, const std::vector<const ShuffleJob*>& jobs,
        const std::vector<RankProgram>& programs, const MessageRules& rules)
      : context_(context), jobs_(jobs), programs_(programs), rules_(rules) {}

  /// All ranks agree on the plan and have the memory before anything is taken; then it is filled,
  /// and the peers are met.
  /// @param memories one per job, the same blocks; kept also when what comes after it fails.
  /// @return the load that will run beside the rearrangement; null = none.
  /// @throws ShuffleFailure, InfeasibleError, DeviceError.
  [[nodiscard]] std::unique_ptr<Foreground> run(std::vector<RankMemory>& memories,
                                                Fingerprints* fingerprints) const;

 private:
  void agree_on_plan() const;
  void agree_on_memory() const;
  void fill(const RankMemory& memory, Fingerprints* fingerprints) const;
  void connect() const;
  [[nodiscard]] std::unique_ptr<Foreground> warm_up_foreground() const;

  RankContext& context_;
  const std::vector<const ShuffleJob*>& jobs_;
  const std::vector<RankProgram>& programs_;
  const MessageRules& rules_;
};

}  // namespace moeshift
