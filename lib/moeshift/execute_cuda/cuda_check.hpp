// SPDX-License-Identifier: Apache-2.0
// A failed call of CUDA becomes a DeviceError that names the call's place.
#pragma once

#include <source_location>
#include <string>

#include <cuda_runtime_api.h>

namespace moeshift {

/// Returns when `result` is a success; clears CUDA's sticky error otherwise.
/// @throws DeviceError with CUDA's own text and the caller's place.
void check(cudaError_t result, std::source_location caller = std::source_location::current());

/// " (file.cpp:12)", for messages.
[[nodiscard]] std::string place_of(const std::source_location& caller);

}  // namespace moeshift
