// SPDX-License-Identifier: Apache-2.0
// What a communication library asks of its callers, beside sense.
#pragma once

#include <cstddef>
#include <string_view>

namespace moeshift {

struct ProofRules {
  /// Messages of one pair and direction that one call may hold; 0 = any number. 1 for HCCL
  /// (`HcclBatchSendRecv`); for NCCL what keeps a call in one kernel (messages_per_pair()).
  std::size_t messages_per_call = 0;
  /// What one call sends a pair, one call of the peer receives. NCCL and HCCL give no word on what
  /// happens otherwise (NVIDIA/nccl#2130).
  bool calls_mirror = true;
  /// A call may take the whole device, so that calls of two communicators, unless ordered on the
  /// rank, may run in either order: NVIDIA/nccl "using multiple communicators concurrently",
  /// pytorch#174288, vllm#44978.
  bool one_call_at_a_time = true;
};

}  // namespace moeshift
