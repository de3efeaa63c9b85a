// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/kernels/cuda_check.hpp"

#include <filesystem>
#include <string>

#include "moeshift/core/error.hpp"

namespace moeshift {

void check(cudaError_t result, std::source_location caller) {
  if (result == cudaSuccess) return;
  (void)cudaGetLastError();
  throw DeviceError(std::string("CUDA: ") + cudaGetErrorString(result) + " (" +
                    std::filesystem::path(caller.file_name()).filename().string() + ":" +
                    std::to_string(caller.line()) + ")");
}

}  // namespace moeshift
