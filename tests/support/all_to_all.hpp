// SPDX-License-Identifier: Apache-2.0
// Ranks as threads that use a transport without the engine.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/backend.hpp"

namespace moeshift::test {

inline constexpr Seconds kPatience{20.0};

inline void finish(Pending& pending) {
  const Deadline deadline = Deadline::in(kPatience);
  while (!pending.poll()) {
    if (deadline.expired()) throw DeviceError("not finished in time");
    std::this_thread::yield();
  }
}

/// Joins every local rank on a thread of its own and runs `body` there; rethrows the first error.
inline void for_each_rank(World& world, const std::function<void(RankId, Member&)>& body) {
  std::vector<std::exception_ptr> errors(world.size());
  {
    std::vector<std::jthread> threads;
    for (const RankId rank : world.local_ranks()) {
      threads.emplace_back([&, rank] {
        try {
          Member member = world.join(rank, Deadline::in(kPatience));
          body(rank, member);
        } catch (...) {
          errors[rank.index()] = std::current_exception();
        }
      });
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

inline std::vector<RankId> peers_of(RankId self, std::size_t ranks) {
  std::vector<RankId> peers;
  for (const RankId rank : all_ids<RankId>(ranks)) {
    if (rank != self) peers.push_back(rank);
  }
  return peers;
}

/// Slots of one rank in an all-to-all: what it sends in each round, and what comes from each peer.
class AllToAllSlots {
 public:
  AllToAllSlots(DeviceMemory& memory, Bytes slot, std::size_t rounds, std::size_t ranks)
      : slot_(slot),
        ranks_(ranks),
        out_(memory.allocate(slot * static_cast<std::int64_t>(rounds))),
        in_(memory.allocate(slot * static_cast<std::int64_t>(rounds * ranks))) {}
  [[nodiscard]] std::byte* out(std::size_t round) const { return at(out_, round); }
  [[nodiscard]] std::byte* in(std::size_t round, RankId from) const {
    return at(in_, round * ranks_ + from.index());
  }

 private:
  [[nodiscard]] std::byte* at(std::byte* start, std::size_t i) const {
    return start + static_cast<std::int64_t>(i) * slot_.count();
  }

  Bytes slot_;
  std::size_t ranks_;
  std::byte* out_;
  std::byte* in_;
};

/// Every rank sends a slot to every other one in each of `rounds` exchanges, all under way at once;
/// what arrived is verified where it lies.
inline std::size_t wrong_slots_of_all_to_all(World& world, Bytes bytes, std::size_t rounds) {
  const SlotLayout layout = single_tensor_layout(bytes);
  std::atomic<std::size_t> wrong = 0;
  for_each_rank(world, [&](RankId self, Member& member) {
    const AllToAllSlots slots(*member.memory, bytes, rounds, world.size());
    const std::vector<RankId> peers = peers_of(self, world.size());
    std::vector<PatternTask> sent;
    std::vector<PatternTask> expected;
    for (std::size_t round = 0; round < rounds; ++round) {
      sent.push_back({slots.out(round), {1, LayerId(round), ExpertId(self.value())}});
      for (const RankId peer : peers) {
        expected.push_back({slots.in(round, peer), {1, LayerId(round), ExpertId(peer.value())}});
      }
    }
    finish(*member.memory->fill(sent, layout));
    member.transport->connect(peers, peers, Deadline::in(kPatience));
    std::vector<std::unique_ptr<Pending>> pending;
    for (std::size_t round = 0; round < rounds; ++round) {
      std::vector<Message> messages;
      for (const RankId peer : peers) {
        messages.push_back({peer, Direction::kSend, slots.out(round), bytes});
        messages.push_back({peer, Direction::kReceive, slots.in(round, peer), bytes});
      }
      pending.push_back(member.transport->exchange(messages));
    }
    for (const auto& exchange : pending) finish(*exchange);
    const auto verification = member.memory->verify(expected, layout);
    finish(*verification);
    wrong += verification->mismatches().size();
    member.transport->close(Deadline::in(kPatience));
  });
  return wrong;
}

}  // namespace moeshift::test
