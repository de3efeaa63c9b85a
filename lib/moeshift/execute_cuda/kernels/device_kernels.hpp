// SPDX-License-Identifier: Apache-2.0
// Work on a device's memory beyond copies: patterns, their check, tables of pointers. By kernels of
// ours (cuda_kernels.hpp), or, where there is no compiler for the device, through host memory
// (staged_kernels.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute/foreground.hpp"
#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

/// A tensor in a slot on the device.
struct PatternRegion {
  std::byte* data = nullptr;  ///< aligned to kTensorAlignment
  std::uint64_t bytes = 0;    ///< a multiple of kTensorAlignment
  std::uint64_t key = 0;      ///< tensor_key() of what the region holds
};

/// What a check of one region found.
struct PatternMismatch {
  std::uint64_t bytes = 0;             ///< how many differ
  std::uint64_t first_offset = ~0ULL;  ///< of the first one; all ones when none differs
};

/// A check under way.
class RegionCheck : public Pending {
 public:
  /// Per region; call once poll() said true.
  [[nodiscard]] virtual std::span<const PatternMismatch> found() const = 0;
};

/// Everything is put on the stream that is given, in order with what is there. @throws DeviceError.
class DeviceKernels {
 public:
  DeviceKernels() = default;
  DeviceKernels(const DeviceKernels&) = delete;
  DeviceKernels& operator=(const DeviceKernels&) = delete;
  virtual ~DeviceKernels() = default;

  /// Copies that need no copy engine; source and target may be memory of other devices.
  /// @param blocks that a kernel may have at most
  virtual void copy(std::span<const CopyRequest> copies, unsigned blocks,
                    DeviceStream stream) const = 0;
  /// Writes the pattern into every region.
  [[nodiscard]] virtual std::unique_ptr<Pending> fill(std::vector<PatternRegion> regions,
                                                      DeviceStream stream) const = 0;
  /// Compares every byte of every region with its pattern.
  [[nodiscard]] virtual std::unique_ptr<RegionCheck> verify(std::vector<PatternRegion> regions,
                                                            DeviceStream stream) const = 0;
  /// Writes pointers into a table in device memory.
  /// @return what must live until the stream is through; may be null
  [[nodiscard]] virtual std::shared_ptr<const void> point(std::byte** table,
                                                          std::span<const PointerChange> changes,
                                                          DeviceStream stream) const = 0;
  /// A load of that kind on the bound device, of some length per step; null where there is none.
  [[nodiscard]] virtual std::unique_ptr<Foreground> load(ForegroundKind kind,
                                                         Seconds step) const = 0;
};

}  // namespace moeshift
