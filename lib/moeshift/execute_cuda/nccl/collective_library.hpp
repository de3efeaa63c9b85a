// SPDX-License-Identifier: Apache-2.0
// NCCL's C interface, of which we call 17 functions, and RCCL's, which is the same: loaded when it
// is first needed. The types are declared here, so that neither header is needed to build; where
// nccl.h is found, nccl_interface_check.cpp compares.
#pragma once

#include <climits>
#include <cstddef>
#include <mutex>
#include <source_location>
#include <string>
#include <vector>

#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

// ncclResult_t and ncclDataType_t, as numbers.
inline constexpr int kCollectiveSuccess = 0;
inline constexpr int kCollectiveInProgress = 7;
inline constexpr int kCollectiveBytes = 1;  ///< ncclUint8

/// ncclComm_t: nobody but the library looks into it.
using CollectiveComm = void*;

/// ncclUniqueId.
struct CollectiveId {
  char internal[128];
};

/// ncclConfig_t of 2.27.3; a library takes as much of it as `size` says. Older ones refuse fields
/// that they do not know: config_for() says what fits.
struct CollectiveConfig {
  static constexpr int kUndefined = INT_MIN;

  std::size_t size = 0;
  unsigned magic = 0xcafebeef;
  unsigned version = 0;
  int blocking = kUndefined;
  int cga_cluster_size = kUndefined;
  int min_ctas = kUndefined;
  int max_ctas = kUndefined;
  const char* net_name = nullptr;
  int split_share = kUndefined;
  int traffic_class = kUndefined;   // since 2.26.2
  const char* comm_name = nullptr;  // since 2.27.3, like all below
  int collnet_enable = kUndefined;
  int cta_policy = kUndefined;
  int shrink_share = kUndefined;
  int nvls_ctas = kUndefined;
};

/// 2.19 or newer; `library` is what ncclGetVersion says, 22809 for 2.28.9.
[[nodiscard]] CollectiveConfig config_for(int library);

struct CollectiveCalls {
  int (*get_version)(int* version) = nullptr;
  int (*get_unique_id)(CollectiveId* id) = nullptr;
  int (*init)(CollectiveComm* comm, int ranks, CollectiveId id, int rank,
              CollectiveConfig* config) = nullptr;
  int (*finalize)(CollectiveComm comm) = nullptr;
  int (*destroy)(CollectiveComm comm) = nullptr;
  int (*abort)(CollectiveComm comm) = nullptr;
  int (*async_error)(CollectiveComm comm, int* state) = nullptr;
  const char* (*error_text)(int result) = nullptr;
  const char* (*last_error)(CollectiveComm comm) = nullptr;
  int (*group_start)() = nullptr;
  int (*group_end)() = nullptr;
  int (*send)(const void* from, std::size_t count, int type, int peer, CollectiveComm comm,
              DeviceStream stream) = nullptr;
  int (*receive)(void* to, std::size_t count, int type, int peer, CollectiveComm comm,
                 DeviceStream stream) = nullptr;
  int (*allocate)(void** start, std::size_t bytes) = nullptr;
  int (*free)(void* start) = nullptr;
  int (*register_memory)(CollectiveComm comm, void* start, std::size_t bytes,
                         void** registration) = nullptr;
  int (*deregister)(CollectiveComm comm, void* registration) = nullptr;
};

/// Looked for at the first question and kept; may be asked by any thread.
class CollectiveLibrary {
 public:
  /// @param name "NCCL", "RCCL"
  /// @param files tried in turn: names for the loader, or paths
  CollectiveLibrary(std::string name, std::vector<std::string> files)
      : name_(std::move(name)), files_(std::move(files)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Empty: it is there; else why not, as a sentence. Calls nothing of it.
  [[nodiscard]] const std::string& missing() const;
  /// @throws InputError when it is missing.
  [[nodiscard]] const CollectiveCalls& calls() const;

  /// The version that runs, as NCCL numbers it: 22809.
  [[nodiscard]] int version() const;
  /// "2.28.9".
  [[nodiscard]] std::string version_text() const;

  /// Returns when `result` is a success or, on a non-blocking communicator, still under way.
  /// @throws DeviceError with the library's own text, its last message and the caller's place.
  void check(int result, CollectiveComm comm = nullptr,
             std::source_location caller = std::source_location::current()) const;

 private:
  void load() const;

  std::string name_;
  std::vector<std::string> files_;
  mutable std::once_flag once_;
  mutable CollectiveCalls calls_;
  mutable std::string missing_;
};

}  // namespace moeshift
