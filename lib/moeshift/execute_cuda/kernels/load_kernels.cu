// SPDX-License-Identifier: Apache-2.0
#include <cuda_bf16.h>
#include <mma.h>

#include "moeshift/execute_cuda/kernels/cuda_check.hpp"
#include "moeshift/execute_cuda/kernels/load_kernels.hpp"

namespace moeshift {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kBlocksPerMultiprocessor = 4;
constexpr std::uint32_t kRounds = 1024;  // 16x16x16 products of a warp

unsigned multiprocessors() {
  int device = 0;
  int count = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return static_cast<unsigned>(count);
}

__global__ void products_kernel(float* sink) {
  namespace wmma = nvcuda::wmma;
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> a;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> b;
  // Two accumulators, so that a product need not wait for the one before.
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> even;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> odd;
  wmma::fill_fragment(a, __float2bfloat16(1.0F / 16));
  wmma::fill_fragment(b, __float2bfloat16(1.0F / 16));
  wmma::fill_fragment(even, 0.0F);
  wmma::fill_fragment(odd, 0.0F);
  for (std::uint32_t round = 0; round < kRounds; round += 2) {
    wmma::mma_sync(even, a, b, even);
    wmma::mma_sync(odd, a, b, odd);
  }
  // Never true, but the compiler cannot know.
  if (even.x[0] + odd.x[0] < 0) *sink = even.x[0];
}

__global__ void sweep_kernel(uint4* data, std::uint64_t count) {
  const std::uint64_t stride = std::uint64_t{gridDim.x} * kThreads;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * kThreads + threadIdx.x; i < count;
       i += stride) {
    uint4 value = data[i];
    value.x += 1;
    data[i] = value;
  }
}

}  // namespace

void launch_products(std::uint32_t waves, float* sink, cudaStream_t stream) {
  products_kernel<<<waves * kBlocksPerMultiprocessor * multiprocessors(), kThreads, 0, stream>>>(
      sink);
  check(cudaGetLastError());
}

void launch_sweep(std::byte* data, std::uint64_t bytes, cudaStream_t stream) {
  sweep_kernel<<<2 * kBlocksPerMultiprocessor * multiprocessors(), kThreads, 0, stream>>>(
      reinterpret_cast<uint4*>(data), bytes / sizeof(uint4));
  check(cudaGetLastError());
}

}  // namespace moeshift
