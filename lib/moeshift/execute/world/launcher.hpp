// SPDX-License-Identifier: Apache-2.0
// Starts the ranks of a world as processes of this machine, and sees to it that none outlives us.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"

namespace moeshift {

struct LaunchRequest {
  std::vector<std::string> argv;  ///< of this program; every rank runs it again
  std::size_t ranks = 1;
  Seconds grace{35.0};  ///< after the first rank ended badly, until the others are killed
  std::function<bool()> interrupted;  ///< the user wants to stop; passed on to the ranks
  /// Environment of one rank beside MOESHIFT_RANK, MOESHIFT_WORLD and MOESHIFT_RENDEZVOUS, as
  /// "NAME=value"; may be empty.
  std::function<std::vector<std::string>(RankId rank)> environment;
};

/// How a rank's process ended.
struct RankExit {
  RankId rank;
  int code = 0;        ///< exit status
  int signal = 0;      ///< the signal that killed it, or 0
  bool by_us = false;  ///< killed by the launcher when the grace was over
};

/// Runs `ranks` copies of this program and waits for all of them.
///
/// Each is told its rank and gets one end of a socket pair to rank 0 ("fds:" rendezvous), so
/// nothing has a name and nothing is left behind; each is killed by the system when this process
/// dies. Standard output of ranks other than 0 goes nowhere.
/// @throws DeviceError when a process cannot be started.
[[nodiscard]] std::vector<RankExit> launch_ranks(const LaunchRequest& request);

/// One exit status for all of them: 0 when all are good, 3 when one was killed, else the status of
/// the lowest rank that is not good.
/// @param interrupted the user wanted to stop: ranks that died of it, or that missed those who did,
/// make it 130. What a rank found out before (1, 2) stays.
[[nodiscard]] int joint_status(const std::vector<RankExit>& exits, bool interrupted = false);

}  // namespace moeshift
