// SPDX-License-Identifier: Apache-2.0
// enqueue_copies() for CUDA 12, whose batched copy has another shape: one call per copy.
#include "moeshift/execute_cuda/copy_streams.hpp"
#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {

void enqueue_copies(std::span<const CopyRequest> copies, CopyPath /*path*/, cudaStream_t stream) {
  for (const CopyRequest& copy : copies) {
    check(cudaMemcpyAsync(copy.to, copy.from, static_cast<std::size_t>(copy.bytes.count()),
                          cudaMemcpyDefault, stream));
  }
}

}  // namespace moeshift
