// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <cuda_runtime_api.h>

#include "moeshift/execute_cuda/runtime/linked_cuda.hpp"

namespace moeshift {
namespace {

int copy_batch(std::span<const CopyRequest> copies, bool engines, void* stream) {
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
  attributes.flags = engines ? cudaMemcpyFlagPreferOverlapWithCompute : cudaMemcpyFlagDefault;
  std::size_t first_with_attributes = 0;
  return cudaMemcpyBatchAsync(to.data(), from.data(), sizes.data(), sizes.size(), &attributes,
                              &first_with_attributes, 1, static_cast<cudaStream_t>(stream));
}

}  // namespace

decltype(CudaShape::copy_batch) linked_copy_batch() {
  return &copy_batch;
}

}  // namespace moeshift
