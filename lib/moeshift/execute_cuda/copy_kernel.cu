// SPDX-License-Identifier: Apache-2.0
// Copies are cut into pieces of one size, and blocks take the pieces in turn: large and small
// copies share the blocks evenly. The table of copies travels as the kernel's argument.
#include <algorithm>

#include "moeshift/execute_cuda/copy_kernel.hpp"
#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {
namespace {

constexpr unsigned kThreads = 512;
constexpr std::uint64_t kPiece = std::uint64_t{64} << 10U;
constexpr unsigned kMostCopies = 120;  // of a launch: its arguments fit in 4 KiB

struct DeviceCopy {
  const std::byte* from;
  std::byte* to;
  std::uint64_t bytes;
  std::uint64_t first_piece;  ///< of all pieces of the launch
};

struct CopyTable {
  DeviceCopy copies[kMostCopies];
  unsigned count = 0;
  std::uint64_t pieces = 0;
};
static_assert(sizeof(CopyTable) <= 4096);

/// The last copy that starts at `piece` or before.
__device__ const DeviceCopy& copy_with(const CopyTable& table, std::uint64_t piece) {
  unsigned low = 0;
  unsigned high = table.count;
  while (high - low > 1) {
    const unsigned middle = (low + high) / 2;
    (table.copies[middle].first_piece <= piece ? low : high) = middle;
  }
  return table.copies[low];
}

__device__ bool is_aligned(const DeviceCopy& copy) {
  const auto address = reinterpret_cast<std::uintptr_t>(copy.from) |
                       reinterpret_cast<std::uintptr_t>(copy.to) | copy.bytes;
  return address % sizeof(uint4) == 0;
}

/// Several words are on their way at once, and none stays in a cache that the model would rather
/// have.
template <class Word>
__device__ void copy_words(const std::byte* from, std::byte* to, std::uint64_t bytes) {
  constexpr unsigned kAtOnce = 8;
  const auto* const source = reinterpret_cast<const Word*>(from);
  auto* const target = reinterpret_cast<Word*>(to);
  const std::uint64_t words = bytes / sizeof(Word);
  std::uint64_t i = threadIdx.x;
  for (; i + (kAtOnce - 1) * kThreads < words; i += kAtOnce * kThreads) {
    Word held[kAtOnce];
#pragma unroll
    for (unsigned k = 0; k < kAtOnce; ++k) held[k] = __ldcs(source + i + k * kThreads);
#pragma unroll
    for (unsigned k = 0; k < kAtOnce; ++k) __stcs(target + i + k * kThreads, held[k]);
  }
  for (; i < words; i += kThreads) target[i] = source[i];
}

__global__ void __launch_bounds__(kThreads) copy_kernel(const __grid_constant__ CopyTable table) {
  for (std::uint64_t piece = blockIdx.x; piece < table.pieces; piece += gridDim.x) {
    const DeviceCopy& copy = copy_with(table, piece);
    const std::uint64_t offset = (piece - copy.first_piece) * kPiece;
    const std::uint64_t bytes = min(kPiece, copy.bytes - offset);
    if (is_aligned(copy)) {
      copy_words<uint4>(copy.from + offset, copy.to + offset, bytes);
    } else {
      copy_words<unsigned char>(copy.from + offset, copy.to + offset, bytes);
    }
  }
}

}  // namespace

void launch_copies(std::span<const CopyRequest> copies, unsigned blocks, cudaStream_t stream) {
  while (!copies.empty()) {
    CopyTable table;
    for (const CopyRequest& copy :
         copies.first(std::min<std::size_t>(copies.size(), kMostCopies))) {
      const auto bytes = static_cast<std::uint64_t>(copy.bytes.count());
      table.copies[table.count++] = {copy.from, copy.to, bytes, table.pieces};
      table.pieces += (bytes + kPiece - 1) / kPiece;
    }
    copies = copies.subspan(table.count);
    if (table.pieces == 0) continue;
    const auto grid = static_cast<unsigned>(std::min<std::uint64_t>(blocks, table.pieces));
    copy_kernel<<<grid, kThreads, 0, stream>>>(table);
    check(cudaGetLastError());
  }
}

}  // namespace moeshift
