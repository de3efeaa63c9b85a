// SPDX-License-Identifier: Apache-2.0
// The nccl row of the transport table.
#include "moeshift/execute_cuda/cuda_platform.hpp"
#include "moeshift/execute_cuda/nccl/collective_world.hpp"

namespace moeshift {

Backend nccl_backend() {
  return collective_row<&cuda_platform>(
      "nccl", "ncclSend and ncclRecv groups on a non-blocking communicator of its own");
}

}  // namespace moeshift
