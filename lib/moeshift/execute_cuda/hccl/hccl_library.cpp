// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/hccl/hccl_library.hpp"

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/runtime/shared_library.hpp"

namespace moeshift {

void HcclLibrary::load() const {
  SharedLibrary library(files_);
  library.find(calls_.root_info, "HcclGetRootInfo");
  library.find(calls_.init, "HcclCommInitRootInfo");
  library.find(calls_.destroy, "HcclCommDestroy");
  library.find(calls_.async_error, "HcclGetCommAsyncError");
  library.find(calls_.error_text, "HcclGetErrorString");
  library.find(calls_.batch_send_receive, "HcclBatchSendRecv");
  library.find(calls_.all_to_all, "HcclAlltoAllVC");
  library.find(calls_.barrier, "HcclBarrier");
  missing_ = library.missing();
}

const std::string& HcclLibrary::missing() const {
  std::call_once(once_, [this] { load(); });
  return missing_;
}

const HcclCalls& HcclLibrary::calls() const {
  if (!missing().empty()) {
    throw InputError("backend", missing() +
                                    "; install CANN and source its set_env.sh, which says where "
                                    "its libraries are");
  }
  return calls_;
}

void HcclLibrary::check(int result, const char* call) const {
  if (result == kHcclSuccess) return;
  throw DeviceError(fmt::format("HCCL: {} ({}, code {})", calls_.error_text(result), call, result));
}

}  // namespace moeshift
