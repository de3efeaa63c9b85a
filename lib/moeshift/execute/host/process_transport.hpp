// SPDX-License-Identifier: Apache-2.0
// Ranks are processes of one machine; the receiver copies straight out of the sender's memory.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/host/shared_arena.hpp"
#include "moeshift/execute/transport.hpp"

namespace moeshift {

/// What one rank lets another read, in the reader's arena. One writer (the sender) and one reader
/// (the receiver); counts only grow.
struct SharedMailbox {
  static constexpr std::uint64_t kPlaces = 64;
  struct Offer {
    std::int64_t offset;  ///< into the sender's arena
    std::int64_t bytes;
  };
  std::atomic<std::uint64_t> posted;
  std::atomic<std::uint64_t> taken;
  std::array<Offer, kPlaces> offers;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared between processes");

class ProcessTransport final : public Transport {
 public:
  /// All ranks call it together: they hand each other their arenas.
  /// @param stop the user wants to stop; may be empty.
  /// @throws DeviceError when a peer's memory is none or the deadline is over, InterruptedError.
  ProcessTransport(ControlPlane& control, std::shared_ptr<SharedArena> arena, Deadline deadline,
                   const std::function<bool()>& stop);

  [[nodiscard]] TransportTraits traits() const override { return {}; }
  void connect(std::span<const RankId>, std::span<const RankId>, Deadline) override {}
  [[nodiscard]] std::unique_ptr<Pending> exchange(std::span<const Message> messages) override;
  void abort() noexcept override { *aborted_ = true; }
  void close(Deadline) override {}

 private:
  friend class ProcessExchange;

  struct Receive {
    std::byte* pointer;
    std::int64_t bytes;
    std::int64_t done = 0;
  };
  /// Both directions between this rank and one other.
  struct Peer {
    SharedMapping memory;
    SharedMailbox* out = nullptr;              ///< in the peer's arena
    SharedMailbox* in = nullptr;               ///< in ours
    std::deque<SharedMailbox::Offer> waiting;  ///< not posted yet: the mailbox is full
    std::uint64_t sends = 0;                   ///< messages given to us so far
    std::deque<Receive> receives;
    std::uint64_t expected = 0;  ///< receives given to us so far
    std::uint64_t received = 0;  ///< of them, finished
  };

  /// Posts what waits and copies what has come, up to a piece per call.
  void progress();
  void post(Peer& peer) const;
  [[nodiscard]] std::int64_t copy_some(Peer& peer, RankId from) const;

  RankId self_;
  std::shared_ptr<SharedArena> arena_;
  std::vector<Peer> peers_;  ///< by rank; our own is unused
  std::shared_ptr<bool> aborted_;
};

}  // namespace moeshift
