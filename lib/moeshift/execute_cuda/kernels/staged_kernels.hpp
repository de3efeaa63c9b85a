// SPDX-License-Identifier: Apache-2.0
// The kernels' work without a kernel: patterns are made and compared by the host, and travel in
// pieces through pinned memory. Slower than kernels by the width of the bus, and runs on any device
// whose run time copies.
#pragma once

#include "moeshift/execute_cuda/kernels/device_kernels.hpp"

namespace moeshift {

class StagedKernels final : public DeviceKernels {
 public:
  explicit StagedKernels(const DeviceRuntime& runtime) : runtime_(runtime) {}

  void copy(std::span<const CopyRequest> copies, unsigned blocks,
            DeviceStream stream) const override;
  [[nodiscard]] std::unique_ptr<Pending> fill(std::vector<PatternRegion> regions,
                                              DeviceStream stream) const override;
  [[nodiscard]] std::unique_ptr<RegionCheck> verify(std::vector<PatternRegion> regions,
                                                    DeviceStream stream) const override;
  [[nodiscard]] std::shared_ptr<const void> point(std::byte** table,
                                                  std::span<const PointerChange> changes,
                                                  DeviceStream stream) const override;
  [[nodiscard]] std::unique_ptr<Foreground> load(ForegroundKind /*kind*/,
                                                 Seconds /*step*/) const override {
    return nullptr;
  }

 private:
  const DeviceRuntime& runtime_;
};

}  // namespace moeshift
