// SPDX-License-Identifier: Apache-2.0
// Where it is settled, once for all ranks, whether what was voted for goes live.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "moeshift/core/ids.hpp"

namespace moeshift {

/// What goes live together, or not at all.
struct Ballot {
  RankId rank;                                         ///< who asks
  std::vector<std::pair<LayerId, std::size_t>> parts;  ///< (layer, wave), never empty
};

enum class Verdict { kCommit, kWithdraw };

/// Between a rank's vote and the word that all have voted lies a time in which it does not know
/// whether others go live. Should a peer die just then, whoever asks here first decides for all:
/// without such a place a survivor could stay old while another went new (the blocking case of
/// two-phase commit: Bernstein, Hadzilacos and Goodman 1987, section 7.4).
class DecisionLog {
 public:
  DecisionLog() = default;
  DecisionLog(const DecisionLog&) = delete;
  DecisionLog& operator=(const DecisionLog&) = delete;
  virtual ~DecisionLog() = default;

  /// Thread-safe, and safe among the processes of a world.
  /// @return what holds from now on for every rank: `wanted`, unless another rank came first. It
  ///         survives a crash of the process and of the machine.
  /// @throws DeviceError when it cannot be known.
  [[nodiscard]] virtual Verdict decide(const Ballot& ballot, Verdict wanted) = 0;
};

}  // namespace moeshift
