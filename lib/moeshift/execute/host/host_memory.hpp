// SPDX-License-Identifier: Apache-2.0
// Experts in host memory: the DeviceMemory of the host and MPI transports.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "moeshift/execute/device_memory.hpp"

namespace moeshift {

/// Where host memory comes from. Thread-safe.
class MemorySource {
 public:
  MemorySource() = default;
  MemorySource(const MemorySource&) = delete;
  MemorySource& operator=(const MemorySource&) = delete;
  virtual ~MemorySource() = default;

  /// Page-aligned, zeroed when first touched, kept until the source goes away.
  /// @throws InfeasibleError when there is no more.
  [[nodiscard]] virtual std::byte* allocate(Bytes bytes) = 0;
  [[nodiscard]] virtual Bytes left() const = 0;
  /// It holds what an earlier run has left: nothing is written before it was compared.
  [[nodiscard]] virtual bool kept() const { return false; }
};

/// Anonymous mappings with one common limit. Outlives every rank that reads another rank's
/// memory, so a rank that gives up never unmaps what a peer still copies from.
class HostArena final : public MemorySource {
 public:
  /// @param limit bytes that may be handed out in all.
  explicit HostArena(Bytes limit) : limit_(limit) {}
  ~HostArena() override;

  [[nodiscard]] std::byte* allocate(Bytes bytes) override;
  [[nodiscard]] Bytes left() const override;

 private:
  struct Mapping {
    void* start;
    std::size_t bytes;
  };

  mutable std::mutex mutex_;
  Bytes limit_;
  Bytes used_;
  std::vector<Mapping> mappings_;
};

/// Work is done inside poll(), a piece at a time, so that one thread can serve several things.
/// Memory that was kept is not poisoned, and filling it is comparing it: a DeviceError says that
/// the run before has left something else than is believed.
class HostMemory final : public DeviceMemory {
 public:
  /// @param sharers ranks that allocate from the same arena: what is left is split among them.
  HostMemory(std::shared_ptr<MemorySource> arena, std::size_t sharers)
      : arena_(std::move(arena)), sharers_(sharers) {}

  [[nodiscard]] std::optional<Bytes> available() const override;
  [[nodiscard]] std::byte* allocate(Bytes bytes) override;
  [[nodiscard]] std::unique_ptr<Pending> copy(std::span<const CopyRequest> copies,
                                              CopyLane lane) override;
  [[nodiscard]] std::unique_ptr<Pending> point(std::byte* table,
                                               std::span<const PointerChange> changes,
                                               ModelStream stream) override;
  [[nodiscard]] std::vector<std::byte*> pointers(const std::byte* table, std::size_t first,
                                                 std::size_t count) override;
  [[nodiscard]] std::unique_ptr<Pending> fill(std::span<const PatternTask> tasks,
                                              const SlotLayout& layout) override;
  [[nodiscard]] std::unique_ptr<Verification> verify(std::span<const PatternTask> tasks,
                                                     const SlotLayout& layout) override;
  [[nodiscard]] std::unique_ptr<Pending> poison(std::byte* start, Bytes bytes) override;
  void corrupt(std::byte* byte) override;

 private:
  std::shared_ptr<MemorySource> arena_;
  std::size_t sharers_;
};

}  // namespace moeshift
