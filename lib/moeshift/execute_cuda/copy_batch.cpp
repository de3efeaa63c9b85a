// SPDX-License-Identifier: Apache-2.0
// enqueue_copies() with one call for all of them, which also takes the copy-engine hint.
#include <array>
#include <vector>

#include "moeshift/execute_cuda/copy_streams.hpp"
#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {

void enqueue_copies(std::span<const CopyRequest> copies, CopyPath path, cudaStream_t stream) {
  std::vector<void*> to;
  std::vector<const void*> from;
  std::vector<std::size_t> sizes;
  for (const CopyRequest& copy : copies) {
    to.push_back(copy.to);
    from.push_back(copy.from);
    sizes.push_back(static_cast<std::size_t>(copy.bytes.count()));
  }
  cudaMemcpyAttributes attributes{};
  attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
  attributes.flags = path == CopyPath::kCopyEngine ? cudaMemcpyFlagPreferOverlapWithCompute
                                                   : cudaMemcpyFlagDefault;
  std::size_t first_with_attributes = 0;
  check(cudaMemcpyBatchAsync(to.data(), from.data(), sizes.data(), sizes.size(), &attributes,
                             &first_with_attributes, 1, stream));
}

}  // namespace moeshift
