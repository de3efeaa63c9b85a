// SPDX-License-Identifier: Apache-2.0
// Where senders say "this range of mine is ready" and receivers answer "I have copied it": a few
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

/// A range of the sender's memory: an offset into one of its blocks.
struct CeRange {
  std::uint32_t block = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// One place of a ring. Its turn counts up by three per lap: empty, posted, copied.
struct CeEntry {
  std::atomic<std::uint64_t> turn;
  CeRange range;
};

class CeMailbox {
 public:
  /// Collective: rank 0 makes the memory, the others map it.
  /// @throws DeviceError when the ranks are not on one machine.
  CeMailbox(ControlPlane& control, Deadline deadline);

  /// True once the `sequence`-th message to `to` could be posted; false: the ring is full, ask
  /// again.
  [[nodiscard]] bool post(RankId to, std::uint64_t sequence, const CeRange& range);
  /// The `sequence`-th message from `from`, or nothing yet.
  [[nodiscard]] const CeRange* posted(RankId from, std::uint64_t sequence) const;
  /// The receiver has all bytes of that message.
  void mark_copied(RankId from, std::uint64_t sequence);
  /// True once the receiver has; frees the place. Call it until it says true, then never again.
  [[nodiscard]] bool collect(RankId to, std::uint64_t sequence);

  /// Runs `start` unless somebody has aborted; false when somebody has.
  template <class Start>
  [[nodiscard]] bool unless_aborted(Start&& start) {
    const IssueGuard guard(issuing(self_));
    if (aborted()) return false;
    start();
    return true;
  }
  [[nodiscard]] bool aborted() const;
  /// From here on no rank starts to read another's memory; returns when none is about to (bounded).
  void abort() noexcept;

 private:
  struct IssueGuard {
    explicit IssueGuard(std::atomic<std::uint32_t>& flag) : flag_(flag) { flag_.store(1); }
    ~IssueGuard() { flag_.store(0); }
    std::atomic<std::uint32_t>& flag_;
  };
  struct Unmap {
    std::size_t bytes;
    void operator()(std::byte* start) const noexcept;
  };

  [[nodiscard]] CeEntry& entry(RankId from, RankId to, std::uint64_t sequence) const;
  [[nodiscard]] std::atomic<std::uint32_t>& issuing(RankId rank) const;

  RankId self_;
  std::size_t ranks_;
  std::unique_ptr<std::byte, Unmap> area_;
};

}  // namespace moeshift
