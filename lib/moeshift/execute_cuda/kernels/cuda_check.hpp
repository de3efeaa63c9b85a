// SPDX-License-Identifier: Apache-2.0
// A failed launch becomes a DeviceError that names its place.
#pragma once

#include <source_location>

#include <cuda_runtime_api.h>

namespace moeshift {

/// Returns when `result` is a success; clears CUDA's sticky error otherwise.
/// @throws DeviceError with CUDA's own text and the caller's place.
void check(cudaError_t result, std::source_location caller = std::source_location::current());

}  // namespace moeshift
