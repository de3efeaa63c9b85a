// SPDX-License-Identifier: Apache-2.0
// The rccl row of the transport table: nccl's sources over HIP and RCCL, both looked for at run
// time, so that a program built without ROCm has the row, too.
#include <array>

#include "moeshift/execute_cuda/kernels/staged_kernels.hpp"
#include "moeshift/execute_cuda/nccl/collective_world.hpp"
#include "moeshift/execute_cuda/runtime/cuda_shape.hpp"

namespace moeshift {
namespace {

const Platform& hip_platform() {
  static const std::array<std::string, 4> files = {"libamdhip64.so", "libamdhip64.so.7",
                                                   "libamdhip64.so.6", "libamdhip64.so.5"};
  static const std::unique_ptr<DeviceRuntime> runtime = load_cuda_shape("HIP", "hip", files);
  static const StagedKernels kernels(*runtime);
  static const CollectiveLibrary rccl("RCCL", {"librccl.so.1", "librccl.so"});
  static const Platform platform{
      .runtime = runtime.get(), .kernels = &kernels, .collectives = &rccl};
  return platform;
}

}  // namespace

Backend rccl_backend() {
  return collective_row<&hip_platform>(
      "rccl", "nccl's groups between AMD's GPUs: HIP and RCCL, found at run time");
}

}  // namespace moeshift
