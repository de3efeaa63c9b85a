// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/memory/first_contact.hpp"

#include <algorithm>

namespace moeshift {

FirstContact first_contact(const DeviceRuntime& runtime, std::span<const RankId> send_to,
                           std::span<const RankId> receive_from) {
  const std::size_t count = std::max<std::size_t>(send_to.size() + receive_from.size(), 1);
  FirstContact contact{
      .memory = allocate_device(runtime, kFirstContact * static_cast<std::int64_t>(count)),
      .messages = {}};
  auto* next = static_cast<std::byte*>(contact.memory.get());
  const auto add = [&](std::span<const RankId> peers, Direction direction) {
    for (const RankId peer : peers) {
      contact.messages.push_back({peer, direction, next, kFirstContact});
      next += kFirstContact.count();
    }
  };
  add(send_to, Direction::kSend);
  add(receive_from, Direction::kReceive);
  return contact;
}

}  // namespace moeshift
