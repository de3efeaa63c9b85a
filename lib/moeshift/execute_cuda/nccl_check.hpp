// SPDX-License-Identifier: Apache-2.0
// A failed call of NCCL becomes a DeviceError that names the call's place.
#pragma once

#include <source_location>

#include <nccl.h>

namespace moeshift {

/// Returns when `result` is a success or, on a non-blocking communicator, still under way.
/// @throws DeviceError with NCCL's own text, its last message and the caller's place.
void check(ncclResult_t result, ncclComm_t communicator = nullptr,
           std::source_location caller = std::source_location::current());

}  // namespace moeshift
