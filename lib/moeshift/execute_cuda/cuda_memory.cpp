// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/cuda_memory.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/cuda_check.hpp"
#include "moeshift/execute_cuda/weight_kernels.hpp"

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

std::uint64_t largest_of(const SlotLayout& layout) {
  std::int64_t largest = 0;
  for (const TensorRange& tensor : layout.tensors) {
    largest = std::max(largest, tensor.bytes.count());
  }
  return static_cast<std::uint64_t>(largest);
}

/// The host copy must live until the stream has read it: pageable memory has been by the return.
template <class T>
void upload(const std::vector<T>& items, void* to, cudaStream_t stream) {
  check(
      cudaMemcpyAsync(to, items.data(), items.size() * sizeof(T), cudaMemcpyHostToDevice, stream));
}

class CudaVerification final : public Verification {
 public:
  CudaVerification(std::span<const PatternTask> tasks, const SlotLayout& layout,
                   cudaStream_t stream)
      : layout_(layout), found_(tasks.size() * layout.tensors.size()), stream_(stream) {
    if (found_.empty()) return;
    const std::vector<PatternRegion> regions = regions_of(tasks, layout);
    const StreamBuffer table(regions.size() * sizeof(PatternRegion), stream);
    results_.emplace(found_.size() * sizeof(PatternMismatch), stream);
    upload(regions, table.get(), stream);
    upload(found_, results_->get(), stream);
    launch_verify({static_cast<const PatternRegion*>(table.get()), regions.size()},
                  {static_cast<PatternMismatch*>(results_->get()), found_.size()},
                  largest_of(layout), stream);
    pending_.emplace(stream);
  }

  [[nodiscard]] bool poll() override {
    if (done_ || found_.empty()) return true;
    if (!pending_->poll()) return false;
    check(cudaMemcpyAsync(found_.data(), results_->get(), found_.size() * sizeof(PatternMismatch),
                          cudaMemcpyDeviceToHost, stream_));
    check(cudaStreamSynchronize(stream_));
    return done_ = true;
  }

  [[nodiscard]] std::vector<Mismatch> mismatches() override {
    std::vector<Mismatch> result;
    const std::size_t tensors = layout_.tensors.size();
    for (std::size_t i = 0; i < found_.size(); ++i) {
      const PatternMismatch& found = found_[i];
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
  std::vector<PatternMismatch> found_;
  cudaStream_t stream_;
  std::optional<StreamBuffer> results_;
  std::optional<StreamPending> pending_;
  bool done_ = false;
};

DeviceId bound(DeviceId device) {
  check(cudaSetDevice(device.ordinal));
  return device;
}

Bytes share_of_free_memory(std::size_t ranks_on_device) {
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total));
  return Bytes(static_cast<std::int64_t>(free / ranks_on_device));
}

std::byte* allocate_block(Bytes bytes) {
  return static_cast<std::byte*>(allocate_device(bytes).release());
}

void release_block(std::byte* start) noexcept {
  (void)cudaFree(start);
}

}  // namespace

BlockSource cuda_blocks() {
  return {.allocate = &allocate_block, .release = &release_block};
}

CudaMemory::CudaMemory(DeviceId device, const CudaMemoryOptions& options)
    : device_(bound(device)),
      options_(options),
      budget_(share_of_free_memory(options.ranks_on_device)),
      stage_(1, CopyPath::kKernel, /*high_priority=*/true, options.stage_blocks),
      commit_(1, CopyPath::kKernel, /*high_priority=*/true, options.commit_blocks),
      kernels_(make_stream()) {}

CudaMemory::~CudaMemory() {
  for (const DeviceBlock& block : blocks_) options_.source.release(block.start);
}

std::byte* CudaMemory::allocate(Bytes wanted) {
  const Bytes bytes((wanted.count() + kGranularity - 1) / kGranularity * kGranularity);
  if (bytes > budget_) {
    throw InfeasibleError(fmt::format(
        "device {}: {:.2f} GiB wanted, {:.2f} GiB left for this rank ({} ranks on the device)",
        device_.ordinal, static_cast<double>(bytes.count()) / 0x1p30,
        static_cast<double>(budget_.count()) / 0x1p30, options_.ranks_on_device));
  }
  std::byte* const start = options_.source.allocate(bytes);
  budget_ -= bytes;
  blocks_.push_back({start, bytes});
  return start;
}

std::unique_ptr<Pending> CudaMemory::copy(std::span<const CopyRequest> copies, CopyLane lane) {
  return (lane == CopyLane::kStage ? stage_ : commit_).start(copies);
}

std::unique_ptr<Pending> CudaMemory::point(std::byte* table,
                                           std::span<const PointerChange> changes) {
  // On the one stream of commits: what they copy is in place before an entry points there.
  return commit_.start_work([&](cudaStream_t stream) {
    launch_pointer_changes(reinterpret_cast<std::byte**>(table), changes, stream);
  });
}

std::vector<std::byte*> CudaMemory::pointers(const std::byte* table, std::size_t first,
                                             std::size_t count) {
  std::vector<std::byte*> found(count);
  check(cudaMemcpyAsync(found.data(), reinterpret_cast<std::byte* const*>(table) + first,
                        count * sizeof(std::byte*), cudaMemcpyDeviceToHost, kernels_.get()));
  check(cudaStreamSynchronize(kernels_.get()));
  return found;
}

std::unique_ptr<Pending> CudaMemory::fill(std::span<const PatternTask> tasks,
                                          const SlotLayout& layout) {
  const std::vector<PatternRegion> regions = regions_of(tasks, layout);
  if (regions.empty()) return std::make_unique<StreamPending>(kernels_.get());
  const StreamBuffer table(regions.size() * sizeof(PatternRegion), kernels_.get());
  upload(regions, table.get(), kernels_.get());
  launch_fill({static_cast<const PatternRegion*>(table.get()), regions.size()}, largest_of(layout),
              kernels_.get());
  return std::make_unique<StreamPending>(kernels_.get());
}

std::unique_ptr<Verification> CudaMemory::verify(std::span<const PatternTask> tasks,
                                                 const SlotLayout& layout) {
  return std::make_unique<CudaVerification>(tasks, layout, kernels_.get());
}

std::unique_ptr<Pending> CudaMemory::poison(std::byte* start, Bytes bytes) {
  check(cudaMemsetAsync(start, kPoison, static_cast<std::size_t>(bytes.count()), kernels_.get()));
  return std::make_unique<StreamPending>(kernels_.get());
}

void CudaMemory::corrupt(std::byte* byte) {
  std::byte value{};
  check(cudaMemcpyAsync(&value, byte, 1, cudaMemcpyDeviceToHost, kernels_.get()));
  check(cudaStreamSynchronize(kernels_.get()));
  value = ~value;
  check(cudaMemcpyAsync(byte, &value, 1, cudaMemcpyHostToDevice, kernels_.get()));
  check(cudaStreamSynchronize(kernels_.get()));
}

}  // namespace moeshift
