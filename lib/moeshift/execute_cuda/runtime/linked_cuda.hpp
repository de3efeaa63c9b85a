// SPDX-License-Identifier: Apache-2.0
// The CUDA run time that this program is built with. Only a build with the tool kit has it.
#pragma once

#include "moeshift/execute_cuda/runtime/cuda_shape.hpp"

namespace moeshift {

/// Starts without a driver; lives as long as the process.
[[nodiscard]] const DeviceRuntime& linked_cuda();

/// One call for many copies, which also takes a hint to use the copy engines. One definition is
/// linked: copy_batch.cpp (CUDA >= 13) or, null, copy_each.cpp: the call of CUDA 12 has another
/// shape.
[[nodiscard]] decltype(CudaShape::copy_batch) linked_copy_batch();

}  // namespace moeshift
