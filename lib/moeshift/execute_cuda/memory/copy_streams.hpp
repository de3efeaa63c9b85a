// SPDX-License-Identifier: Apache-2.0
// Copies spread over a few streams: one stream does not fill the memory system with copies of
// expert size (one H200: 16 MiB copies 1.5 TB/s on one stream, 2.0 TB/s on four).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute_cuda/kernels/platform.hpp"
#include "moeshift/execute_cuda/memory/watched_stream.hpp"

namespace moeshift {

/// How bytes are copied within one device.
enum class CopyPath {
  kDriver,      ///< the driver's own choice, which may be a kernel
  kCopyEngine,  ///< beside compute: the copy engines (a hint that the driver may ignore)
  kKernel,      ///< one kernel of ours for all copies: small ones cost 0.3 us instead of 5
};

/// A lane of copies: calls start in order of nothing, finish when polled so.
class CopyStreams {
 public:
  /// @param blocks that a kernel may have; kKernel only, which needs one stream
  CopyStreams(const Platform& platform, std::size_t streams, CopyPath path, bool high_priority,
              unsigned blocks = 0);

  /// Neighbouring ranges are joined, then dealt over the streams by bytes.
  /// @param blocks of the kernel, this time
  [[nodiscard]] std::unique_ptr<Pending> start(std::span<const CopyRequest> copies,
                                               std::optional<unsigned> blocks = {});
  /// All of them on one stream, in this order.
  [[nodiscard]] std::unique_ptr<Pending> start_in_order(std::span<const CopyRequest> copies,
                                                        std::size_t stream = 0);
  /// What `enqueue` puts on the first stream, after all that is there; not timed. What it returns
  /// lives until that is done.
  [[nodiscard]] std::unique_ptr<Pending> start_work(
      const std::function<std::shared_ptr<const void>(DeviceStream)>& enqueue);
  [[nodiscard]] std::size_t streams() const { return streams_.size(); }

 private:
  class PendingCopies;

  void put(std::size_t stream, std::span<const CopyRequest> copies, unsigned blocks,
           PendingCopies& pending);

  Platform platform_;
  std::vector<std::shared_ptr<WatchedStream>> streams_;
  CopyPath path_;
  unsigned blocks_;
  std::size_t next_ = 0;  ///< where the next call begins, so that single copies alternate
};

/// Joins copies whose sources and destinations both continue each other (sorted by source).
[[nodiscard]] std::vector<CopyRequest> joined(std::span<const CopyRequest> copies);

}  // namespace moeshift
