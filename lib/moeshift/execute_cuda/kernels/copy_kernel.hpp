// SPDX-License-Identifier: Apache-2.0
// Many copies in one kernel. A copy that the driver makes costs 5 us whatever its size; experts of
// some hundred kilobytes take less.
#pragma once

#include <span>

#include <cuda_runtime_api.h>

#include "moeshift/execute/device_memory.hpp"

namespace moeshift {

/// Enqueues the copies on `stream`, as few kernels of at most `blocks` blocks. Source and target
/// may be memory of other GPUs. Copies of much the same size go on side by side, others in their
/// order. Complexity: O(copies) on the host; the device runs at memory speed from some 100 blocks
/// up.
void launch_copies(std::span<const CopyRequest> copies, unsigned blocks, cudaStream_t stream);

}  // namespace moeshift
