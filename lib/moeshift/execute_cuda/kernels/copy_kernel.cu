// SPDX-License-Identifier: Apache-2.0
// Copies are cut into pieces of one size, and blocks take the pieces in turn: large and small
// copies share the blocks evenly. The table of copies travels as the kernel's argument.
#include <algorithm>

#include "moeshift/execute_cuda/kernels/copy_kernel.hpp"
#include "moeshift/execute_cuda/kernels/cuda_check.hpp"

namespace moeshift {
namespace {

constexpr unsigned kThreads = 512;
constexpr unsigned kAtOnce = 8;  // words of a thread that are on their way
constexpr std::uint64_t kPiece = std::uint64_t{64} << 10U;
static_assert(kPiece == std::uint64_t{kThreads} * kAtOnce * sizeof(uint4));

/// Of a launch: its arguments fit in 4 KiB, or in 32 KiB where the tool kit allows that.
constexpr unsigned kFewCopies = 120;
constexpr unsigned kManyCopies = CUDART_VERSION >= 12010 ? 1000 : kFewCopies;

struct DeviceCopy {
  const std::byte* from;
  std::byte* to;
  std::uint64_t bytes;
  std::uint64_t first_piece;  ///< of all pieces of the launch
};

template <unsigned kMost>
struct CopyTable {
  DeviceCopy copies[kMost];
  unsigned count = 0;
  std::uint64_t pieces = 0;  ///< of all copies
  /// 0: pieces are numbered copy by copy. Else all copies have at most so many pieces, and the
  /// first piece of each comes before the second of any: copies to several places go on together.
  std::uint64_t rows = 0;
};
static_assert(sizeof(CopyTable<kFewCopies>) <= 4096);
static_assert(sizeof(CopyTable<kManyCopies>) <= 32764);

/// The last copy that starts at `piece` or before.
template <unsigned kMost>
__device__ const DeviceCopy& copy_with(const CopyTable<kMost>& table, std::uint64_t piece) {
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

/// One piece. All words of a thread are on their way at once, also at the ragged end of a copy, and
/// none stays in a cache that the model would rather have.
template <class Word>
__device__ void copy_words(const std::byte* from, std::byte* to, std::uint64_t bytes) {
  const auto* const source = reinterpret_cast<const Word*>(from);
  auto* const target = reinterpret_cast<Word*>(to);
  const std::uint64_t words = bytes / sizeof(Word);
  for (std::uint64_t first = threadIdx.x; first < words; first += kAtOnce * kThreads) {
    Word held[kAtOnce];
#pragma unroll
    for (unsigned k = 0; k < kAtOnce; ++k) {
      if (first + k * kThreads < words) held[k] = __ldcs(source + first + k * kThreads);
    }
#pragma unroll
    for (unsigned k = 0; k < kAtOnce; ++k) {
      if (first + k * kThreads < words) __stcs(target + first + k * kThreads, held[k]);
    }
  }
}

__device__ void copy_piece(const DeviceCopy& copy, std::uint64_t piece) {
  const std::uint64_t offset = piece * kPiece;
  if (offset >= copy.bytes) return;
  const std::uint64_t bytes = min(kPiece, copy.bytes - offset);
  if (is_aligned(copy)) {
    copy_words<uint4>(copy.from + offset, copy.to + offset, bytes);
  } else {
    copy_words<unsigned char>(copy.from + offset, copy.to + offset, bytes);
  }
}

template <unsigned kMost>
__global__ void __launch_bounds__(kThreads)
    copy_kernel(const __grid_constant__ CopyTable<kMost> table) {
  const std::uint64_t pieces = table.rows > 0 ? table.rows * table.count : table.pieces;
  for (std::uint64_t piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
    if (table.rows > 0) {
      copy_piece(table.copies[piece % table.count], piece / table.count);
    } else {
      const DeviceCopy& copy = copy_with(table, piece);
      copy_piece(copy, piece - copy.first_piece);
    }
  }
}

/// As many of the copies as fit in one launch. @return what is left of them.
template <unsigned kMost>
std::span<const CopyRequest> launch_some(std::span<const CopyRequest> copies, unsigned blocks,
                                         cudaStream_t stream) {
  CopyTable<kMost> table;
  std::uint64_t most = 0;
  for (const CopyRequest& copy : copies.first(std::min<std::size_t>(copies.size(), kMost))) {
    const auto bytes = static_cast<std::uint64_t>(copy.bytes.count());
    const std::uint64_t pieces = (bytes + kPiece - 1) / kPiece;
    table.copies[table.count++] = {copy.from, copy.to, bytes, table.pieces};
    table.pieces += pieces;
    most = std::max(most, pieces);
  }
  // Of very uneven copies most turns would find nothing.
  if (most * table.count <= 2 * table.pieces) table.rows = most;
  if (table.pieces > 0) {
    const auto grid = static_cast<unsigned>(std::min<std::uint64_t>(blocks, table.pieces));
    copy_kernel<kMost><<<grid, kThreads, 0, stream>>>(table);
    check(cudaGetLastError());
  }
  return copies.subspan(table.count);
}

}  // namespace

void launch_copies(std::span<const CopyRequest> copies, unsigned blocks, cudaStream_t stream) {
  while (!copies.empty()) {
    copies = copies.size() <= kFewCopies ? launch_some<kFewCopies>(copies, blocks, stream)
                                         : launch_some<kManyCopies>(copies, blocks, stream);
  }
}

}  // namespace moeshift
