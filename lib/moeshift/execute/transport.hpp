// SPDX-License-Identifier: Apache-2.0
// Moving bytes between ranks. The interface is the largest one that NCCL groups, MPI requests, copy
// engines and HCCL's batched send/receive all offer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/execute/deadline.hpp"

namespace moeshift {

enum class Direction : std::uint8_t { kSend, kReceive };

/// One contiguous run of bytes for one peer, in memory of this rank's DeviceMemory.
struct Message {
  RankId peer;
  Direction direction = Direction::kSend;
  std::byte* pointer = nullptr;  ///< read when sending, written when receiving
  Bytes bytes;                   ///< > 0, equal on both sides
};

/// Work under way. Never blocks; destroying an unfinished one forgets it, it does not wait: call
/// Transport::abort() first where its memory goes away.
class Pending {
 public:
  Pending() = default;
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  virtual ~Pending() = default;

  /// Makes progress; true once finished, and from then on.
  /// @throws DeviceError when the device or the transport failed.
  [[nodiscard]] virtual bool poll() = 0;
  /// The ranks whose part is still missing, as far as that can be told; for the message of a
  /// deadline that expired.
  [[nodiscard]] virtual std::vector<RankId> waiting_for() const { return {}; }
  /// Once finished: how long the device was at it, by its own clock; nothing where it has none.
  [[nodiscard]] virtual std::optional<Seconds> device_time() const { return std::nullopt; }
};

/// What the engine asks before it cuts a plan into calls.
struct TransportTraits {
  /// Experts smaller than this are gathered into one message per (source, destination) and batch;
  /// larger ones are sent from where they are, one message each. 0 = never gather.
  Bytes pack_below{0};
  /// What a rank gathers before anything travels: where the wires are idle, gathered messages are
  /// cut into parts, each in an exchange of its own, of which the first has this many bytes a rank
  /// and each later one three times as many: it is gathered while the one before is on the wire.
  /// What is gathered beside earlier exchanges anyway is not cut: every exchange costs some tens of
  /// microseconds in which the wires are not full. 0 = never cut.
  Bytes gather_first{0};
  /// Messages per peer and direction that one exchange may hold. The same on all ranks.
  std::size_t messages_per_pair = 1;
  /// [ranks] Ranks of one island reach each other's memory: between them nothing is gathered, and
  /// an exchange may hold messages_inside. Empty: every rank is on its own.
  std::vector<std::uint32_t> islands = {};
  std::size_t messages_inside = 1;
};

/// One rank's end of the wires.
///
/// Called by one thread at a time. Matching: the k-th message from a to b in a's calls is the k-th
/// message from a in b's calls (first in, first out, no tags); the engine issues calls in one
/// global order, so that a pair's messages always meet in the same call index on both sides.
/// No message has this rank as its peer. A failing call or poll throws DeviceError; after that
/// only abort() and destruction are allowed.
class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  /// Releases everything without waiting for peers unless close() came before.
  virtual ~Transport() = default;

  [[nodiscard]] virtual TransportTraits traits() const = 0;

  /// Makes every connection that the plan will use, so that the first message does not pay for it.
  /// All ranks call it, together; `send_to` here mirrors `receive_from` there.
  /// @throws DeviceError when a peer cannot be reached before the deadline.
  virtual void connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
                       Deadline deadline) = 0;

  /// Starts the messages of one group: at most traits().messages_per_pair per (peer, direction),
  /// in the same order on both sides; all may progress together, none waits for another. Several
  /// exchanges may be under way; they start in the order of the calls.
  ///
  /// Order: the engine calls it only when every copy that writes a send buffer or still uses a
  /// receive buffer has polled finished. Once the result polls finished, what was sent may be
  /// overwritten, and what was received is visible to every later DeviceMemory call of this rank.
  /// @throws DeviceError.
  [[nodiscard]] virtual std::unique_ptr<Pending> exchange(std::span<const Message> messages) = 0;

  /// Stops everything under way, in bounded time, without the peers' help; idempotent. May be
  /// called while another thread of this rank is inside poll() only if the transport says so.
  virtual void abort() noexcept = 0;

  /// The orderly end: all ranks call it after the last exchange has finished on each.
  virtual void close(Deadline deadline) = 0;
};

}  // namespace moeshift
