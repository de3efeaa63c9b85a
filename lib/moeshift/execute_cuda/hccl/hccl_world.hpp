// SPDX-License-Identifier: Apache-2.0
// A row of the transport table for HCCL: ranks with an NPU each.
#pragma once

#include <memory>
#include <string>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute_cuda/hccl/hccl_transport.hpp"

namespace moeshift {

/// Lives as long as the process.
struct HcclPlatform {
  Platform device;
  const HcclLibrary* library = nullptr;
  StuckRank stuck = &end_process_of_stuck_rank;
};

/// What the columns of the row are; they throw what Backend says.
[[nodiscard]] std::string hccl_unavailable_reason(const HcclPlatform& platform);
/// Processes unless asked for threads: a rank that is stuck takes its process with it.
[[nodiscard]] Launch launch_hccl(const HcclPlatform& platform, const WorldRequest& options);
[[nodiscard]] std::unique_ptr<World> open_hccl(const HcclPlatform& platform,
                                               const WorldRequest& options);
[[nodiscard]] std::string found_hccl(const HcclPlatform& platform);

template <const HcclPlatform& (*kPlatform)()>
[[nodiscard]] Backend hccl_row() {
  Backend row;
  row.name = "hccl";
  row.summary = "HcclBatchSendRecv between Ascend NPUs, a message per pair and call";
  row.unavailable_reason = [] { return hccl_unavailable_reason(kPlatform()); };
  row.launch = [](const WorldRequest& options) { return launch_hccl(kPlatform(), options); };
  row.open = [](const WorldRequest& options) { return open_hccl(kPlatform(), options); };
  row.found = [] { return found_hccl(kPlatform()); };
  row.join.below = Bytes(std::int64_t{64} << 20U);
  row.pack_below = Bytes(std::int64_t{64} << 20U);
  return row;
}

}  // namespace moeshift
