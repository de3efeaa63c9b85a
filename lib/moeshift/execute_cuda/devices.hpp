// SPDX-License-Identifier: Apache-2.0
// The GPUs that this process sees.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/execute_cuda/handles.hpp"

namespace moeshift {

/// Names and values for the result file.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// Empty when there is a GPU that works; else why not.
[[nodiscard]] std::string cuda_unavailable_reason();
/// 0 when there is none or no driver.
[[nodiscard]] std::size_t visible_devices();
/// "CUDA 13.0, driver 13.0, 2 x NVIDIA H100 80GB HBM3"; call it where there is a GPU.
[[nodiscard]] std::string found_cuda();
/// Driver and run-time versions.
[[nodiscard]] Facts cuda_facts();
/// Name, memory and place of one device.
[[nodiscard]] Facts device_facts(DeviceId device);

}  // namespace moeshift
