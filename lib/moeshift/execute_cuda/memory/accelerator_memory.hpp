// SPDX-License-Identifier: Apache-2.0
// DeviceMemory on a device: every call is enqueued on streams of this rank and polled by events.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute_cuda/memory/copy_streams.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

namespace moeshift {

/// One block of device memory of this rank.
struct DeviceBlock {
  std::byte* start = nullptr;
  Bytes bytes;
};

/// Where blocks come from, instead of the run time's own memory, which other processes can map.
struct BlockSource {
  std::function<std::byte*(Bytes bytes)> allocate;
  std::function<void(std::byte* start)> release;  ///< never throws
};

struct AcceleratorMemoryOptions {
  std::optional<BlockSource> source = {};
  /// Ranks on this device; each may take its share of what is free when it joins.
  std::size_t ranks_on_device = 1;
  /// Thread blocks of the kernels that copy within the GPU, of high priority: the driver's copies
  /// there are kernels as well, which wait until a model leaves multiprocessors free. The model
  /// runs beside staging, and few blocks keep up with any link.
  unsigned stage_blocks = 32;
  /// As many as let a commit end before the next batch has arrived: with twice as many, what
  /// travels meanwhile loses more than the commit gains.
  unsigned commit_blocks = 32;
  /// One for every multiprocessor: the last commit, and those that a model waits for.
  unsigned awaited_blocks = 128;
};

class AcceleratorMemory final : public DeviceMemory {
 public:
  /// Binds the calling thread to `device`.
  AcceleratorMemory(const Platform& platform, DeviceId device,
                    const AcceleratorMemoryOptions& options);
  /// Waits for this rank's own copies, never for a peer.
  ~AcceleratorMemory() override;

  [[nodiscard]] std::optional<Bytes> available() const override { return budget_; }
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

  /// All blocks in the order of their allocation.
  [[nodiscard]] std::span<const DeviceBlock> blocks() const { return blocks_; }
  [[nodiscard]] DeviceId device() const { return device_; }
  [[nodiscard]] const Platform& platform() const { return platform_; }

 private:
  [[nodiscard]] const DeviceRuntime& runtime() const { return *platform_.runtime; }

  Platform platform_;
  DeviceId device_;
  AcceleratorMemoryOptions options_;
  Bytes budget_;
  std::vector<DeviceBlock> blocks_;
  CopyStreams stage_;
  CopyStreams commit_;
  Stream kernels_;
  /// Of changes on a model's stream: making an event takes longer than the change.
  std::shared_ptr<std::vector<Event>> spare_ = std::make_shared<std::vector<Event>>();
};

}  // namespace moeshift
