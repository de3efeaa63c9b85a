// SPDX-License-Identifier: Apache-2.0
// A kind of device as the transports see it: its run time, what stands for kernels there, and whose
// grouped sends and receives it has.
#pragma once

#include "moeshift/execute_cuda/kernels/device_kernels.hpp"
#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

class CollectiveLibrary;

/// Lives as long as the process.
struct Platform {
  const DeviceRuntime* runtime = nullptr;
  const DeviceKernels* kernels = nullptr;
  /// NCCL or what has its interface; null: none.
  const CollectiveLibrary* collectives = nullptr;
  /// Processes that share a device can run at the same time, under an MPS daemon.
  bool mps = false;
};

}  // namespace moeshift
