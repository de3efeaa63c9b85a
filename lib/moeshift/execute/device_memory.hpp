// SPDX-License-Identifier: Apache-2.0
// The memory that holds a rank's experts, and what the engine does to it besides exchanging.
// Host: memcpy. CUDA: kernels and streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/execute/foreground.hpp"
#include "moeshift/execute/pattern.hpp"
#include "moeshift/execute/transport.hpp"

namespace moeshift {

/// A copy inside one rank's memory; ranges never overlap, within or between the copies of a call.
struct CopyRequest {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  Bytes bytes;
};

/// One slot and what it should hold.
struct PatternTask {
  std::byte* slot = nullptr;  ///< layout.slot_bytes long
  PatternKey key;
};

/// What verification found in one slot.
struct Mismatch {
  std::size_t task = 0;  ///< index into the tasks of the call
  std::uint64_t wrong_bytes = 0;
  std::uint64_t first_offset = 0;  ///< of the first wrong byte in the slot
};

/// A verification under way.
class Verification : public Pending {
 public:
  /// The slots that are not as they should be, ascending by task. Call once poll() said true.
  [[nodiscard]] virtual std::vector<Mismatch> mismatches() = 0;
};

/// An entry of a table of pointers that lies in device memory, and what it becomes.
struct PointerChange {
  std::size_t index = 0;
  std::byte* target = nullptr;
};

/// A stream of copies. Two of them may run side by side: staging (gathering into send buffers)
/// and committing (staging to live), so that layer l+1 is staged while layer l commits.
enum class CopyLane : std::uint8_t {
  kStage,
  kCommit,         ///< leaves room for what travels meanwhile
  kCommitAwaited,  ///< in the lane of commits, as fast as it goes: somebody stands still for it
};

/// One rank's memory. Nothing is ordered but by polling: a call may start at once and run beside
/// every other one that has not polled finished, so the engine waits where order matters.
/// Called by one thread at a time.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  /// Frees all allocations; the transport that used them has been aborted or closed before.
  virtual ~DeviceMemory() = default;

  /// Bytes that allocate() can still hand out; nothing when unknown.
  [[nodiscard]] virtual std::optional<Bytes> available() const = 0;
  /// At least 256-byte aligned, good for exchange(), lives as long as this.
  /// @throws InfeasibleError when it does not fit.
  [[nodiscard]] virtual std::byte* allocate(Bytes bytes) = 0;

  [[nodiscard]] virtual std::unique_ptr<Pending> copy(std::span<const CopyRequest> copies,
                                                      CopyLane lane) = 0;
  /// Changes entries of the table.
  /// @param stream of a model: the change comes before whatever the stream does next, so that
  /// nobody has to wait for it, and the device time is how long the stream was at it. Null: in the
  /// lane of commits, after the copies of that lane that were started before, as long as theirs is
  /// polled first.
  [[nodiscard]] virtual std::unique_ptr<Pending> point(std::byte* table,
                                                       std::span<const PointerChange> changes,
                                                       ModelStream stream) = 0;
  /// Entries first .. first + count - 1 of the table, as they lie in memory; waits for them.
  [[nodiscard]] virtual std::vector<std::byte*> pointers(const std::byte* table, std::size_t first,
                                                         std::size_t count) = 0;
  /// Writes each task's pattern.
  [[nodiscard]] virtual std::unique_ptr<Pending> fill(std::span<const PatternTask> tasks,
                                                      const SlotLayout& layout) = 0;
  /// Recomputes every byte of each task's slot and compares.
  [[nodiscard]] virtual std::unique_ptr<Verification> verify(std::span<const PatternTask> tasks,
                                                             const SlotLayout& layout) = 0;
  /// Writes 0xEE everywhere, so that nothing passes by having been there before.
  [[nodiscard]] virtual std::unique_ptr<Pending> poison(std::byte* start, Bytes bytes) = 0;
  /// Flips every bit of one byte; waits until it is done. For fault drills.
  virtual void corrupt(std::byte* byte) = 0;
};

}  // namespace moeshift
