// SPDX-License-Identifier: Apache-2.0
// The rows of the transport table that copy straight between the memories of two ranks: ce, peer,
// and auto, which takes either, and NCCL between nodes; of any platform whose devices map each
// other's memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute_cuda/kernels/platform.hpp"
#include "moeshift/execute_cuda/peer/peer_memory_transport.hpp"

namespace moeshift {

/// What the columns of the rows are; they throw what Backend says.
[[nodiscard]] Launch launch_peers(const Platform& platform, const WorldRequest& options);
[[nodiscard]] std::unique_ptr<World> open_peers(const Platform& platform, PeerCopy how,
                                                const WorldRequest& options);
[[nodiscard]] Escort escort_peers(const Platform& platform, const WorldRequest& options);
[[nodiscard]] Launch launch_auto(const Platform& platform, const WorldRequest& options);
[[nodiscard]] std::unique_ptr<World> open_auto(const Platform& platform,
                                               const WorldRequest& options);
[[nodiscard]] Escort escort_auto(const Platform& platform, const WorldRequest& options);
[[nodiscard]] std::string found_peers(const Platform& platform);

/// A vote, a batch of copies and a commit cost some 50 us, in which twenty megabytes go over a
/// link; copy engines gain from batches of up to a quarter of a gigabyte.
inline constexpr Joining kJoinPeers{.below = Bytes(std::int64_t{128} << 20U),
                                    .up_to = Bytes(std::int64_t{256} << 20U)};

/// Of a storing kernel: eight fill a link of a Hopper GPU to nine tenths.
inline constexpr std::size_t kStoringBlocks = 8;

template <const Platform& (*kPlatform)(), PeerCopy kHow>
[[nodiscard]] Backend peer_row(std::string_view name, std::string_view summary) {
  return {
      .name = name,
      .summary = summary,
      .unavailable_reason = [] { return kPlatform().runtime->unavailable_reason(); },
      .launch = [](const WorldRequest& options) { return launch_peers(kPlatform(), options); },
      .open = [](const WorldRequest& options) { return open_peers(kPlatform(), kHow, options); },
      .found = [] { return found_peers(kPlatform()); },
      .join = kJoinPeers,
      .staging_blocks = kHow == PeerCopy::kStores ? kStoringBlocks : 0,
      .escort = [](const WorldRequest& options) { return escort_peers(kPlatform(), options); }};
}

template <const Platform& (*kPlatform)()>
[[nodiscard]] Backend auto_row(std::string_view name, std::string_view summary) {
  Backend row = peer_row<kPlatform, PeerCopy::kStores>(name, summary);
  row.launch = [](const WorldRequest& options) { return launch_auto(kPlatform(), options); };
  row.open = [](const WorldRequest& options) { return open_auto(kPlatform(), options); };
  row.escort = [](const WorldRequest& options) { return escort_auto(kPlatform(), options); };
  return row;
}

}  // namespace moeshift
