// SPDX-License-Identifier: Apache-2.0
// NCCL says only in its log which transport and how many channels it has chosen: read it there.
#pragma once

#include <memory>
#include <string>

#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

/// Collects this process's NCCL log in memory that has no name in any file system.
class NcclLog {
 public:
  /// Points NCCL's log here unless the user has asked for one. Before NCCL's first call, while no
  /// other thread runs.
  NcclLog();
  NcclLog(const NcclLog&) = delete;
  NcclLog& operator=(const NcclLog&) = delete;
  ~NcclLog();

  /// What the log says so far.
  [[nodiscard]] std::string text() const;

 private:
  int descriptor_ = -1;
};

/// "nccl_channels" and "nccl_transports" of a log: "NET/Socket 12, P2P/CUMEM 4" counts
/// connections. Facts that the log does not tell are left out.
[[nodiscard]] Facts facts_of_nccl_log(const std::string& log);

/// Messages of one pair and direction that fit a group without NCCL cutting it into several
/// kernels, by the p2p channels that the log tells of; a number that fits any communicator when it
/// tells nothing.
///
/// NCCL 2.19..2.30 puts a message into one batch record per channel it uses, and a kernel's
/// arguments hold 254 records (src/enqueue.cc, testBudget): messages x channels + channels per peer
/// must not exceed that.
[[nodiscard]] std::size_t messages_per_group(const std::string& log);

}  // namespace moeshift
