// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/cuda_platform.hpp"

#include "moeshift/execute_cuda/kernels/cuda_kernels.hpp"
#include "moeshift/execute_cuda/nccl/collective_library.hpp"
#include "moeshift/execute_cuda/runtime/linked_cuda.hpp"

namespace moeshift {

const Platform& cuda_platform() {
  // The loader's search path first; else where the build has found one.
  static const CollectiveLibrary nccl("NCCL", {"libnccl.so.2", MOESHIFT_NCCL_LIBRARY});
  static const Platform platform{
      .runtime = &linked_cuda(), .kernels = &cuda_kernels(), .collectives = &nccl, .mps = true};
  return platform;
}

}  // namespace moeshift
