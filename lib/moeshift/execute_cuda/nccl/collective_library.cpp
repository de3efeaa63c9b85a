// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl/collective_library.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/runtime/shared_library.hpp"

namespace moeshift {
namespace {

constexpr int kHasTrafficClass = 22602;
constexpr int kHasCommName = 22703;

}  // namespace

CollectiveConfig config_for(int library) {
  CollectiveConfig config;
  if (library >= kHasCommName) {
    config.size = sizeof(CollectiveConfig);
    config.version = kHasCommName;
  } else if (library >= kHasTrafficClass) {
    config.size = offsetof(CollectiveConfig, comm_name);
    config.version = kHasTrafficClass;
  } else {
    config.size = offsetof(CollectiveConfig, traffic_class) + sizeof(int);
    config.version = static_cast<unsigned>(library);
  }
  return config;
}

void CollectiveLibrary::load() const {
  SharedLibrary library(files_);
  library.find(calls_.get_version, "ncclGetVersion");
  library.find(calls_.get_unique_id, "ncclGetUniqueId");
  library.find(calls_.init, "ncclCommInitRankConfig");
  library.find(calls_.finalize, "ncclCommFinalize");
  library.find(calls_.destroy, "ncclCommDestroy");
  library.find(calls_.abort, "ncclCommAbort");
  library.find(calls_.async_error, "ncclCommGetAsyncError");
  library.find(calls_.error_text, "ncclGetErrorString");
  library.find(calls_.last_error, "ncclGetLastError");
  library.find(calls_.group_start, "ncclGroupStart");
  library.find(calls_.group_end, "ncclGroupEnd");
  library.find(calls_.send, "ncclSend");
  library.find(calls_.receive, "ncclRecv");
  library.find(calls_.allocate, "ncclMemAlloc");
  library.find(calls_.free, "ncclMemFree");
  library.find(calls_.register_memory, "ncclCommRegister");
  library.find(calls_.deregister, "ncclCommDeregister");
  missing_ = library.missing();
}

const std::string& CollectiveLibrary::missing() const {
  std::call_once(once_, [this] { load(); });
  return missing_;
}

const CollectiveCalls& CollectiveLibrary::calls() const {
  if (!missing().empty()) {
    throw InputError("backend", missing() + "; install " + name_ +
                                    " (2.19 or newer) or say where it is in LD_LIBRARY_PATH");
  }
  return calls_;
}

int CollectiveLibrary::version() const {
  int code = 0;
  check(calls().get_version(&code));
  return code;
}

std::string CollectiveLibrary::version_text() const {
  const int code = version();
  return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

void CollectiveLibrary::check(int result, CollectiveComm comm, std::source_location caller) const {
  if (result == kCollectiveSuccess || result == kCollectiveInProgress) return;
  const char* const detail = calls_.last_error(comm);
  std::string message = name_ + ": " + calls_.error_text(result);
  if (detail != nullptr && *detail != '\0') message += std::string(": ") + detail;
  throw DeviceError(fmt::format("{} ({}:{})", message,
                                std::filesystem::path(caller.file_name()).filename().string(),
                                caller.line()));
}

}  // namespace moeshift
