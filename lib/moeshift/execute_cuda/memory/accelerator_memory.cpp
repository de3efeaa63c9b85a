// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/memory/accelerator_memory.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/runtime/stream_pending.hpp"

namespace moeshift {
namespace {

constexpr int kPoison = 0xEE;
/// A block is a whole number of these, so that none shares a mapping with another (CUDA IPC shares
/// mappings, not ranges).
constexpr std::int64_t kGranularity = std::int64_t{2} << 20U;

/// One region per (task, tensor), task by task.
std::vector<PatternRegion> regions_of(std::span<const PatternTask> tasks,
                                      const SlotLayout& layout) {
  std::vector<PatternRegion> regions;
  regions.reserve(tasks.size() * layout.tensors.size());
  for (const PatternTask& task : tasks) {
    for (std::uint32_t i = 0; i < layout.tensors.size(); ++i) {
      const TensorRange& tensor = layout.tensors[i];
      regions.push_back(
          {.data = task.slot + tensor.offset.count(),
           .bytes = static_cast<std::uint64_t>(tensor.bytes.count()),
           .key = tensor_key(task.key.seed, task.key.layer.value(), task.key.expert.value(), i)});
    }
  }
  return regions;
}

class CheckedSlots final : public Verification {
 public:
  CheckedSlots(const DeviceKernels& kernels, std::span<const PatternTask> tasks,
               const SlotLayout& layout, DeviceStream stream)
      : layout_(layout), check_(kernels.verify(regions_of(tasks, layout), stream)) {}

  [[nodiscard]] bool poll() override { return check_->poll(); }

  [[nodiscard]] std::vector<Mismatch> mismatches() override {
    std::vector<Mismatch> result;
    const std::size_t tensors = layout_.tensors.size();
    const std::span<const PatternMismatch> all = check_->found();
    for (std::size_t i = 0; i < all.size(); ++i) {
      const PatternMismatch& found = all[i];
      if (found.bytes == 0) continue;
      if (result.empty() || result.back().task != i / tensors) {
        const auto tensor_offset =
            static_cast<std::uint64_t>(layout_.tensors[i % tensors].offset.count());
        result.push_back({.task = i / tensors, .first_offset = tensor_offset + found.first_offset});
      }
      result.back().wrong_bytes += found.bytes;
    }
    return result;
  }

 private:
  SlotLayout layout_;
  std::unique_ptr<RegionCheck> check_;
};

/// A change on somebody else's stream, timed there.
class StreamChange final : public Pending {
 public:
  StreamChange(const Platform& platform, std::shared_ptr<std::vector<Event>> spare,
               std::byte** table, std::span<const PointerChange> changes, DeviceStream stream)
      : runtime_(*platform.runtime), spare_(std::move(spare)), begin_(take()), end_(take()) {
    runtime_.record(begin_.get(), stream);
    held_ = platform.kernels->point(table, changes, stream);
    runtime_.record(end_.get(), stream);
  }

  [[nodiscard]] bool poll() override {
    if (time_) return true;
    if (!runtime_.passed(end_.get())) return false;
    time_ = runtime_.elapsed(begin_.get(), end_.get());
    spare_->push_back(std::move(begin_));
    spare_->push_back(std::move(end_));
    return true;
  }
  [[nodiscard]] std::optional<Seconds> device_time() const override { return time_; }

 private:
  Event take() {
    if (spare_->empty()) return make_timing_event(runtime_);
    Event event = std::move(spare_->back());
    spare_->pop_back();
    return event;
  }

  const DeviceRuntime& runtime_;
  std::shared_ptr<std::vector<Event>> spare_;
  Event begin_;
  Event end_;
  std::shared_ptr<const void> held_;
  std::optional<Seconds> time_;
};

DeviceId bound(const Platform& platform, DeviceId device) {
  platform.runtime->bind(device);
  return device;
}

}  // namespace

AcceleratorMemory::AcceleratorMemory(const Platform& platform, DeviceId device,
                                     const AcceleratorMemoryOptions& options)
    : platform_(platform),
      device_(bound(platform, device)),
      options_(options),
      budget_(static_cast<std::int64_t>(platform.runtime->memory().free / options.ranks_on_device)),
      stage_(platform, 1, CopyPath::kKernel, /*high_priority=*/true),
      commit_(platform, 1, CopyPath::kKernel, /*high_priority=*/true),
      kernels_(make_stream(*platform.runtime)) {}

AcceleratorMemory::~AcceleratorMemory() {
  for (const DeviceBlock& block : blocks_) {
    if (options_.source) {
      options_.source->release(block.start);
    } else {
      runtime().free(block.start);
    }
  }
}

std::byte* AcceleratorMemory::allocate(Bytes wanted) {
  const Bytes bytes((wanted.count() + kGranularity - 1) / kGranularity * kGranularity);
  if (bytes > budget_) {
    throw InfeasibleError(fmt::format(
        "device {}: {:.2f} GiB wanted, {:.2f} GiB left for this rank ({} ranks on the device)",
        device_.ordinal, static_cast<double>(bytes.count()) / 0x1p30,
        static_cast<double>(budget_.count()) / 0x1p30, options_.ranks_on_device));
  }
  std::byte* const start =
      options_.source ? options_.source->allocate(bytes)
                      : static_cast<std::byte*>(allocate_device(runtime(), bytes).release());
  budget_ -= bytes;
  blocks_.push_back({start, bytes});
  return start;
}

std::unique_ptr<Pending> AcceleratorMemory::copy(std::span<const CopyRequest> copies,
                                                 CopyLane lane) {
  if (lane == CopyLane::kStage) return stage_.start(copies, options_.stage_blocks);
  const bool awaited = lane == CopyLane::kCommitAwaited;
  return commit_.start(copies, awaited ? options_.awaited_blocks : options_.commit_blocks);
}

std::unique_ptr<Pending> AcceleratorMemory::point(std::byte* table,
                                                  std::span<const PointerChange> changes,
                                                  ModelStream model) {
  if (model != nullptr) {
    return std::make_unique<StreamChange>(platform_, spare_, reinterpret_cast<std::byte**>(table),
                                          changes, model);
  }
  // On the one stream of commits: what they copy is in place before an entry points there.
  return commit_.start_work([&](DeviceStream stream) {
    return platform_.kernels->point(reinterpret_cast<std::byte**>(table), changes, stream);
  });
}

std::vector<std::byte*> AcceleratorMemory::pointers(const std::byte* table, std::size_t first,
                                                    std::size_t count) {
  std::vector<std::byte*> found(count);
  runtime().copy(found.data(), reinterpret_cast<std::byte* const*>(table) + first,
                 count * sizeof(std::byte*), CopyKind::kToHost, kernels_.get());
  runtime().synchronize(kernels_.get());
  return found;
}

std::unique_ptr<Pending> AcceleratorMemory::fill(std::span<const PatternTask> tasks,
                                                 const SlotLayout& layout) {
  return platform_.kernels->fill(regions_of(tasks, layout), kernels_.get());
}

std::unique_ptr<Verification> AcceleratorMemory::verify(std::span<const PatternTask> tasks,
                                                        const SlotLayout& layout) {
  return std::make_unique<CheckedSlots>(*platform_.kernels, tasks, layout, kernels_.get());
}

std::unique_ptr<Pending> AcceleratorMemory::poison(std::byte* start, Bytes bytes) {
  runtime().set(start, kPoison, static_cast<std::size_t>(bytes.count()), kernels_.get());
  return std::make_unique<StreamPending>(runtime(), kernels_.get());
}

void AcceleratorMemory::corrupt(std::byte* byte) {
  std::byte value{};
  runtime().copy(&value, byte, 1, CopyKind::kToHost, kernels_.get());
  runtime().synchronize(kernels_.get());
  value = ~value;
  runtime().copy(byte, &value, 1, CopyKind::kToDevice, kernels_.get());
  runtime().synchronize(kernels_.get());
}

}  // namespace moeshift
