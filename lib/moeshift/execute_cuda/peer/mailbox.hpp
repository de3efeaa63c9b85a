// SPDX-License-Identifier: Apache-2.0
// Where a rank says "this range of mine is ready" and the one that copies answers "done": a few
// words of memory that all ranks of a node map. It has no name in any file system, so nothing is
// left behind by a rank that is killed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"

namespace moeshift {

/// A range of the memory of the rank that posts it: an offset into one of its blocks.
struct MemoryRange {
  std::uint32_t block = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// One place of a ring. Its turn counts up by three per lap: empty, posted, copied.
struct MailboxEntry {
  std::atomic<std::uint64_t> turn;
  MemoryRange range;
};

class Mailbox {
 public:
  /// Messages of one pair and direction that one exchange may hold.
  static constexpr std::uint64_t kPerExchange = 512;
  /// And those that may be under way: the next exchanges are posted while one is copied.
  static constexpr std::uint64_t kDepth = 4 * kPerExchange;

  /// Collective: rank 0 makes the memory, the others map it.
  /// @throws DeviceError when the ranks are not on one machine.
  Mailbox(ControlPlane& control, Deadline deadline);

  /// True once the `sequence`-th message to `to` could be posted; false: the ring is full, ask
  /// again.
  [[nodiscard]] bool post(RankId to, std::uint64_t sequence, const MemoryRange& range);
  /// The `sequence`-th message from `from`, or nothing yet.
  [[nodiscard]] const MemoryRange* posted(RankId from, std::uint64_t sequence) const;
  /// All bytes of that message are copied.
  void mark_copied(RankId from, std::uint64_t sequence);
  /// True once they are; frees the place. Call it until it says true, then never again.
  [[nodiscard]] bool collect(RankId to, std::uint64_t sequence);

  /// Runs `start`, which begins copies between ranks, unless somebody has aborted; false when
  /// somebody has. This rank counts as copying until it says settled().
  template <class Start>
  [[nodiscard]] bool unless_aborted(Start&& start) {
    copying(self_).store(1);
    if (aborted()) {
      settled();
      return false;
    }
    start();
    return true;
  }
  /// No copy of this rank is under way.
  void settled() noexcept { copying(self_).store(0); }
  [[nodiscard]] bool aborted() const;
  /// From here on no rank starts a copy between two ranks.
  void forbid() noexcept;
  /// Returns once no other rank copies, so that memory can be freed; at the latest after a second,
  /// since a rank that was killed never says so.
  void wait_for_others() const noexcept;

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::byte* start) const noexcept;
  };

  [[nodiscard]] MailboxEntry& entry(RankId from, RankId to, std::uint64_t sequence) const;
  [[nodiscard]] std::atomic<std::uint32_t>& copying(RankId rank) const noexcept;

  RankId self_;
  std::size_t ranks_;
  std::unique_ptr<std::byte, Unmap> area_;
};

}  // namespace moeshift
