// SPDX-License-Identifier: Apache-2.0
// One thread handles 16 bytes at a time (two pattern words), blocks stride over a region, and the
// second grid dimension runs over regions.
#include <algorithm>

#include "moeshift/execute/pattern.hpp"
#include "moeshift/execute_cuda/kernels/cuda_check.hpp"
#include "moeshift/execute_cuda/kernels/weight_kernels.hpp"

namespace moeshift {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::uint64_t kVector = kTensorAlignment;
static_assert(kVector == sizeof(ulonglong2));
constexpr std::uint64_t kBytesPerBlock = kThreads * kVector * 8;
constexpr std::uint64_t kMaxBlocksPerRegion = 1024;
constexpr std::size_t kMaxRegionsPerLaunch = 65535;  // of a grid's second dimension

__device__ std::uint64_t first_item() {
  return std::uint64_t{blockIdx.x} * kThreads + threadIdx.x;
}

__device__ std::uint64_t stride() {
  return std::uint64_t{gridDim.x} * kThreads;
}

__device__ ulonglong2 expected_at(const PatternRegion& region, std::uint64_t vector) {
  return make_ulonglong2(pattern_word(region.key, 2 * vector),
                         pattern_word(region.key, 2 * vector + 1));
}

__global__ void fill_kernel(const PatternRegion* regions) {
  const PatternRegion region = regions[blockIdx.y];
  auto* const data = reinterpret_cast<ulonglong2*>(region.data);
  for (std::uint64_t i = first_item(); i < region.bytes / kVector; i += stride()) {
    data[i] = expected_at(region, i);
  }
}

__device__ void note(PatternMismatch& found, std::uint64_t difference, std::uint64_t offset) {
  for (unsigned byte = 0; byte < 8; ++byte) {
    if (((difference >> (8 * byte)) & 0xFF) == 0) continue;
    ++found.bytes;
    found.first_offset = min(found.first_offset, offset + byte);
  }
}

__global__ void verify_kernel(const PatternRegion* regions, PatternMismatch* mismatches) {
  const PatternRegion region = regions[blockIdx.y];
  const auto* const data = reinterpret_cast<const ulonglong2*>(region.data);
  PatternMismatch found;
  for (std::uint64_t i = first_item(); i < region.bytes / kVector; i += stride()) {
    const ulonglong2 actual = data[i];
    const ulonglong2 expected = expected_at(region, i);
    const std::uint64_t low = actual.x ^ expected.x;
    const std::uint64_t high = actual.y ^ expected.y;
    if ((low | high) == 0) continue;
    note(found, low, i * kVector);
    note(found, high, i * kVector + 8);
  }
  if (found.bytes == 0) return;
  auto& result = mismatches[blockIdx.y];
  atomicAdd(reinterpret_cast<unsigned long long*>(&result.bytes), found.bytes);
  atomicMin(reinterpret_cast<unsigned long long*>(&result.first_offset), found.first_offset);
}

/// The changes travel as the kernel's argument, which may have 4 KiB.
struct PointerChanges {
  static constexpr unsigned kMost = 250;
  std::byte* targets[kMost];
  std::uint32_t indices[kMost];
  unsigned count = 0;
};
static_assert(sizeof(PointerChanges) <= 4096 - sizeof(void*));

__global__ void pointer_kernel(std::byte** table, const __grid_constant__ PointerChanges changes) {
  if (threadIdx.x < changes.count)
    table[changes.indices[threadIdx.x]] = changes.targets[threadIdx.x];
}

unsigned blocks_for(std::uint64_t largest) {
  return static_cast<unsigned>(
      std::clamp<std::uint64_t>(largest / kBytesPerBlock, 1, kMaxBlocksPerRegion));
}

}  // namespace

void launch_fill(std::span<const PatternRegion> regions, std::uint64_t largest,
                 cudaStream_t stream) {
  for (std::size_t first = 0; first < regions.size(); first += kMaxRegionsPerLaunch) {
    const std::size_t count = std::min(kMaxRegionsPerLaunch, regions.size() - first);
    const dim3 grid(blocks_for(largest), static_cast<unsigned>(count));
    fill_kernel<<<grid, kThreads, 0, stream>>>(regions.data() + first);
    check(cudaGetLastError());
  }
}

void launch_pointer_changes(std::byte** table, std::span<const PointerChange> changes,
                            cudaStream_t stream) {
  while (!changes.empty()) {
    PointerChanges some;
    for (const PointerChange& change :
         changes.first(std::min<std::size_t>(changes.size(), PointerChanges::kMost))) {
      some.targets[some.count] = change.target;
      some.indices[some.count++] = static_cast<std::uint32_t>(change.index);
    }
    changes = changes.subspan(some.count);
    pointer_kernel<<<1, kThreads, 0, stream>>>(table, some);
    check(cudaGetLastError());
  }
}

void launch_verify(std::span<const PatternRegion> regions, std::span<PatternMismatch> mismatches,
                   std::uint64_t largest, cudaStream_t stream) {
  for (std::size_t first = 0; first < regions.size(); first += kMaxRegionsPerLaunch) {
    const std::size_t count = std::min(kMaxRegionsPerLaunch, regions.size() - first);
    const dim3 grid(blocks_for(largest), static_cast<unsigned>(count));
    verify_kernel<<<grid, kThreads, 0, stream>>>(regions.data() + first, mismatches.data() + first);
    check(cudaGetLastError());
  }
}

}  // namespace moeshift
