// SPDX-License-Identifier: Apache-2.0
// The messages by which the ranks of a communicator get to know each other.
#pragma once

#include <span>
#include <vector>

#include "moeshift/execute/transport.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

namespace moeshift {

inline constexpr Bytes kFirstContact{8};

/// One exchange that uses every connection which the plan will use.
struct FirstContact {
  DeviceBuffer memory;  ///< of the messages: lives as long as they are under way
  std::vector<Message> messages;
};

/// A message of kFirstContact bytes to each of `send_to` and from each of `receive_from`.
/// @throws InfeasibleError when the device has no memory for it.
[[nodiscard]] FirstContact first_contact(const DeviceRuntime& runtime,
                                         std::span<const RankId> send_to,
                                         std::span<const RankId> receive_from);

}  // namespace moeshift
