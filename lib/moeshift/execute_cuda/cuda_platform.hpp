// SPDX-License-Identifier: Apache-2.0
// NVIDIA's devices. Only a build with the CUDA tool kit has them; NCCL is looked for at run time.
#pragma once

#include "moeshift/execute_cuda/kernels/platform.hpp"

namespace moeshift {

[[nodiscard]] const Platform& cuda_platform();

}  // namespace moeshift
