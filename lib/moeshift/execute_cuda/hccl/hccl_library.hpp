// SPDX-License-Identifier: Apache-2.0
// HCCL's C interface, as far as we call it: loaded when it is first needed. The types are declared
// here from the public documentation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

// HcclResult and HcclDataType, as numbers.
inline constexpr int kHcclSuccess = 0;
/// Bytes travel as int8, whatever the weights are: fp8 types are not sent by every device.
inline constexpr int kHcclInt8 = 0;

/// HcclComm: nobody but the library looks into it.
using HcclCommunicatorHandle = void*;

/// HcclRootInfo.
struct HcclRoot {
  char internal[4108];
};

/// HcclSendRecvItem.
struct HcclItem {
  int kind = 0;  ///< 0 sends, 1 receives
  void* start = nullptr;
  std::uint64_t count = 0;
  int type = kHcclInt8;
  std::uint32_t peer = 0;
};

struct HcclCalls {
  int (*root_info)(HcclRoot* root) = nullptr;
  /// Blocks until all ranks are there, or the library's own limit (HCCL_CONNECT_TIMEOUT).
  int (*init)(std::uint32_t ranks, const HcclRoot* root, std::uint32_t rank,
              HcclCommunicatorHandle* comm) = nullptr;
  int (*destroy)(HcclCommunicatorHandle comm) = nullptr;
  int (*async_error)(HcclCommunicatorHandle comm, int* error) = nullptr;
  const char* (*error_text)(int result) = nullptr;
  /// At most one item per peer and direction.
  int (*batch_send_receive)(HcclItem* items, std::uint32_t count, HcclCommunicatorHandle comm,
                            DeviceStream stream) = nullptr;
  /// One round of any pattern: matrix[i * ranks + j] elements go from i to j.
  int (*all_to_all)(const void* from, const void* matrix, int send_type, const void* to,
                    int receive_type, HcclCommunicatorHandle comm, DeviceStream stream) = nullptr;
  int (*barrier)(HcclCommunicatorHandle comm, DeviceStream stream) = nullptr;
};

/// Looked for at the first question and kept; may be asked by any thread.
class HcclLibrary {
 public:
  explicit HcclLibrary(std::vector<std::string> files) : files_(std::move(files)) {}

  /// Empty: it is there; else why not, as a sentence.
  [[nodiscard]] const std::string& missing() const;
  /// @throws InputError when it is missing.
  [[nodiscard]] const HcclCalls& calls() const;
  /// @throws DeviceError with the library's own text and the name of its function.
  void check(int result, const char* call) const;

 private:
  void load() const;

  std::vector<std::string> files_;
  mutable std::once_flag once_;
  mutable HcclCalls calls_;
  mutable std::string missing_;
};

}  // namespace moeshift
