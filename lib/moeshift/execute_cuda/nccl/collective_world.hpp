// SPDX-License-Identifier: Apache-2.0
// A row of the transport table for grouped sends and receives, of any platform that has NCCL's
// interface.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute_cuda/kernels/platform.hpp"
#include "moeshift/execute_cuda/nccl/collective_library.hpp"

namespace moeshift {

/// What the columns of the row are, for a platform with collectives; they throw what Backend says.
[[nodiscard]] std::string collective_unavailable_reason(const Platform& platform);
[[nodiscard]] Launch launch_collective(const Platform& platform, const WorldRequest& options);
[[nodiscard]] std::unique_ptr<World> open_collective(const Platform& platform,
                                                     const WorldRequest& options);
[[nodiscard]] std::string found_collective(const Platform& platform);
[[nodiscard]] Escort escort_collective(const Platform& platform, const WorldRequest& options);
/// What its transport says of itself, but for what only a communicator knows.
[[nodiscard]] TransportTraits collective_traits();

/// Of smaller groups of NCCL the start takes more than a tenth of the time.
inline constexpr Joining kJoinGroups{.below = Bytes(std::int64_t{96} << 20U),
                                     .up_to = Bytes(std::int64_t{1} << 30U)};

template <const Platform& (*kPlatform)()>
[[nodiscard]] Backend collective_row(std::string_view name, std::string_view summary) {
  return {
      .name = name,
      .summary = summary,
      .unavailable_reason = [] { return collective_unavailable_reason(kPlatform()); },
      .launch = [](const WorldRequest& options) { return launch_collective(kPlatform(), options); },
      .open = [](const WorldRequest& options) { return open_collective(kPlatform(), options); },
      .found = [] { return found_collective(kPlatform()); },
      .join = kJoinGroups,
      .pack_below = collective_traits().pack_below,
      .gather_first = collective_traits().gather_first,
      .sets_of_small_batches = 4,
      .escort =
          [](const WorldRequest& options) { return escort_collective(kPlatform(), options); }};
}

}  // namespace moeshift
