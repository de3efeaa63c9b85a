// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/kernels/cuda_kernels.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "moeshift/execute_cuda/kernels/copy_kernel.hpp"
#include "moeshift/execute_cuda/kernels/cuda_loads.hpp"
#include "moeshift/execute_cuda/kernels/weight_kernels.hpp"
#include "moeshift/execute_cuda/runtime/linked_cuda.hpp"
#include "moeshift/execute_cuda/runtime/stream_pending.hpp"

namespace moeshift {
namespace {

cudaStream_t stream_of(DeviceStream stream) {
  return static_cast<cudaStream_t>(stream);
}

std::uint64_t largest_of(const std::vector<PatternRegion>& regions) {
  std::uint64_t largest = 0;
  for (const PatternRegion& region : regions) largest = std::max(largest, region.bytes);
  return largest;
}

/// The host copy must live until the stream has read it: pageable memory has been by the return.
template <class T>
void upload(const std::vector<T>& items, void* to, DeviceStream stream) {
  linked_cuda().copy(to, items.data(), items.size() * sizeof(T), CopyKind::kToDevice, stream);
}

class CudaCheck final : public RegionCheck {
 public:
  CudaCheck(const std::vector<PatternRegion>& regions, DeviceStream stream)
      : found_(regions.size()), stream_(stream) {
    if (found_.empty()) return;
    const StreamBuffer table(linked_cuda(), regions.size() * sizeof(PatternRegion), stream);
    results_.emplace(linked_cuda(), found_.size() * sizeof(PatternMismatch), stream);
    upload(regions, table.get(), stream);
    upload(found_, results_->get(), stream);
    launch_verify({static_cast<const PatternRegion*>(table.get()), regions.size()},
                  {static_cast<PatternMismatch*>(results_->get()), found_.size()},
                  largest_of(regions), stream_of(stream));
    pending_.emplace(linked_cuda(), stream);
  }

  [[nodiscard]] bool poll() override {
    if (done_ || found_.empty()) return true;
    if (!pending_->poll()) return false;
    linked_cuda().copy(found_.data(), results_->get(), found_.size() * sizeof(PatternMismatch),
                       CopyKind::kToHost, stream_);
    linked_cuda().synchronize(stream_);
    return done_ = true;
  }
  [[nodiscard]] std::span<const PatternMismatch> found() const override { return found_; }

 private:
  std::vector<PatternMismatch> found_;
  DeviceStream stream_;
  std::optional<StreamBuffer> results_;
  std::optional<StreamPending> pending_;
  bool done_ = false;
};

class CudaKernels final : public DeviceKernels {
 public:
  void copy(std::span<const CopyRequest> copies, unsigned blocks,
            DeviceStream stream) const override {
    launch_copies(copies, blocks, stream_of(stream));
  }
  [[nodiscard]] std::unique_ptr<Pending> fill(std::vector<PatternRegion> regions,
                                              DeviceStream stream) const override {
    if (!regions.empty()) {
      const StreamBuffer table(linked_cuda(), regions.size() * sizeof(PatternRegion), stream);
      upload(regions, table.get(), stream);
      launch_fill({static_cast<const PatternRegion*>(table.get()), regions.size()},
                  largest_of(regions), stream_of(stream));
    }
    return std::make_unique<StreamPending>(linked_cuda(), stream);
  }
  [[nodiscard]] std::unique_ptr<RegionCheck> verify(std::vector<PatternRegion> regions,
                                                    DeviceStream stream) const override {
    return std::make_unique<CudaCheck>(regions, stream);
  }
  [[nodiscard]] std::shared_ptr<const void> point(std::byte** table,
                                                  std::span<const PointerChange> changes,
                                                  DeviceStream stream) const override {
    launch_pointer_changes(table, changes, stream_of(stream));
    return nullptr;
  }
  [[nodiscard]] std::unique_ptr<Foreground> load(ForegroundKind kind, Seconds step) const override {
    if (kind == ForegroundKind::kCompute) return make_compute_foreground(step);
    if (kind == ForegroundKind::kMemory) return make_memory_foreground(step);
    return nullptr;
  }
};

}  // namespace

const DeviceKernels& cuda_kernels() {
  static const CudaKernels kernels;
  return kernels;
}

}  // namespace moeshift
