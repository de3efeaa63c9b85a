// SPDX-License-Identifier: Apache-2.0
// Kernels over expert weights: write the pattern, check it, poison. All run at memory speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <cuda_runtime_api.h>

#include "moeshift/execute_cuda/kernels/device_kernels.hpp"

namespace moeshift {

/// Writes the pattern into every region. `regions` is device memory, `largest` the bytes of the
/// largest region (it only sizes the launch).
/// @throws DeviceError when the launch is refused.
void launch_fill(std::span<const PatternRegion> regions, std::uint64_t largest,
                 cudaStream_t stream);

/// Compares every byte of every region with its pattern and adds to `mismatches`, which is device
/// memory, one per region, value-initialised by the caller.
void launch_verify(std::span<const PatternRegion> regions, std::span<PatternMismatch> mismatches,
                   std::uint64_t largest, cudaStream_t stream);

/// Writes pointers into a table in device memory: as few launches as their arguments allow.
void launch_pointer_changes(std::byte** table, std::span<const PointerChange> changes,
                            cudaStream_t stream);

}  // namespace moeshift
