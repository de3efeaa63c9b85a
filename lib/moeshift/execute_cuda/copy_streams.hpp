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

#include <cuda_runtime_api.h>

#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute_cuda/handles.hpp"
#include "moeshift/execute_cuda/watched_stream.hpp"

namespace moeshift {

/// How bytes are copied within one device.
enum class CopyPath {
  kDriver,      ///< the driver's own choice, which may be a kernel
  kCopyEngine,  ///< beside compute: the copy engines (a hint that the driver may ignore)
  kKernel,      ///< one kernel of ours for all copies: small ones cost 0.3 us instead of 5
};

/// Enqueues the copies on `stream`, in no particular order among themselves.
/// One definition is linked: copy_batch.cpp (CUDA >= 13) or copy_each.cpp, which takes no hint.
void enqueue_copies(std::span<const CopyRequest> copies, CopyPath path, cudaStream_t stream);

/// Work on one stream up to a point.
class StreamPending final : public Pending {
 public:
  /// Finished once everything on the stream so far is.
  explicit StreamPending(cudaStream_t stream);
  [[nodiscard]] bool poll() override { return finished(end_.get()); }

 private:
  Event end_;
};

/// A lane of copies: calls start in order of nothing, finish when polled so.
class CopyStreams {
 public:
  /// @param blocks that a kernel may have; kKernel only, which needs one stream
  CopyStreams(std::size_t streams, CopyPath path, bool high_priority, unsigned blocks = 0);

  /// Neighbouring ranges are joined, then dealt over the streams by bytes.
  [[nodiscard]] std::unique_ptr<Pending> start(std::span<const CopyRequest> copies);
  /// All of them on one stream, in this order.
  [[nodiscard]] std::unique_ptr<Pending> start_in_order(std::span<const CopyRequest> copies,
                                                        std::size_t stream = 0);
  /// What `enqueue` puts on the first stream, after all that is there; not timed.
  [[nodiscard]] std::unique_ptr<Pending> start_work(
      const std::function<void(cudaStream_t)>& enqueue);
  [[nodiscard]] std::size_t streams() const { return streams_.size(); }

 private:
  class PendingCopies;

  void put(std::size_t stream, std::span<const CopyRequest> copies, PendingCopies& pending);

  std::vector<std::shared_ptr<WatchedStream>> streams_;
  CopyPath path_;
  unsigned blocks_;
  std::size_t next_ = 0;  ///< where the next call begins, so that single copies alternate
};

/// Joins copies whose sources and destinations both continue each other (sorted by source).
[[nodiscard]] std::vector<CopyRequest> joined(std::span<const CopyRequest> copies);

}  // namespace moeshift
