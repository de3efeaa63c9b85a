// SPDX-License-Identifier: Apache-2.0
// The kernels that nvcc compiled. Only a build with the tool kit has them.
#pragma once

#include "moeshift/execute_cuda/kernels/device_kernels.hpp"

namespace moeshift {

/// For linked_cuda(); all run at memory speed.
[[nodiscard]] const DeviceKernels& cuda_kernels();

}  // namespace moeshift
