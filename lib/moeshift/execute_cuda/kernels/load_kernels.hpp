// SPDX-License-Identifier: Apache-2.0
// What a model does to a GPU while it serves: tensor-core products, or memory traffic.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

namespace moeshift {

/// bf16 products on every multiprocessor, operands in registers: bound by the tensor cores, no
/// memory traffic. A wave is as many short blocks as run at once, some 50 us of work each, as the
/// tiles of a large product are. `sink` (one float) is written only to keep the work.
void launch_products(std::uint32_t waves, float* sink, cudaStream_t stream);

/// Reads and rewrites `bytes` (a multiple of 16) at `data` once: bound by the memory.
void launch_sweep(std::byte* data, std::uint64_t bytes, cudaStream_t stream);

}  // namespace moeshift
