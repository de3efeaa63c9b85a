// SPDX-License-Identifier: Apache-2.0
// Ascend's run time (ACL), loaded when it is first needed. Written from its public documentation;
// docs/devices.md says what of it has met a device.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

/// Differs from the other run times: no memory in the order of a stream (allocate_on() is
/// allocate()), none shared between processes, no writes to words by streams, no copies whose way
/// is told by the addresses (kAny is within the device).
/// @param names of the library, tried in turn
[[nodiscard]] std::unique_ptr<DeviceRuntime> load_acl(std::span<const std::string> names);

}  // namespace moeshift
