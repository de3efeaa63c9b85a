// SPDX-License-Identifier: Apache-2.0
// The hccl row of the transport table. CANN is looked for at run time, so that a program built
// without it has the row, too.
#include <array>

#include "moeshift/execute_cuda/hccl/hccl_world.hpp"
#include "moeshift/execute_cuda/kernels/staged_kernels.hpp"
#include "moeshift/execute_cuda/runtime/acl_runtime.hpp"

namespace moeshift {
namespace {

const HcclPlatform& npu_platform() {
  static const std::array<std::string, 1> files = {"libascendcl.so"};
  static const std::unique_ptr<DeviceRuntime> runtime = load_acl(files);
  static const StagedKernels kernels(*runtime);
  static const HcclLibrary hccl({"libhccl.so"});
  static const HcclPlatform platform{.device = {.runtime = runtime.get(), .kernels = &kernels},
                                     .library = &hccl};
  return platform;
}

}  // namespace

Backend hccl_backend() {
  return hccl_row<&npu_platform>();
}

}  // namespace moeshift
