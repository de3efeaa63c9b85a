// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl_check.hpp"

#include <string>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {

void check(ncclResult_t result, ncclComm_t communicator, std::source_location caller) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  const char* detail = ncclGetLastError(communicator);
  std::string message = std::string("NCCL: ") + ncclGetErrorString(result);
  if (detail != nullptr && *detail != '\0') message += std::string(": ") + detail;
  throw DeviceError(message + place_of(caller));
}

}  // namespace moeshift
