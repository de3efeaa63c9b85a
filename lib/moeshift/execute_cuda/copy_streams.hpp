// SPDX-License-Identifier: Apache-2.0
// Copies spread over a few streams: one stream does not fill the memory system with copies of
// expert size (one H200: 16 MiB copies 1.5 TB/s on one stream, 2.0 TB/s on four).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <cuda_runtime_api.h>

#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute_cuda/handles.hpp"

namespace moeshift {

/// How the driver is asked to copy within one device.
enum class CopyPath {
  kDriver,      ///< its own choice, which may be a kernel
  kCopyEngine,  ///< beside compute: the copy engines (a hint that the driver may ignore)
};

/// Enqueues the copies on `stream`, in no particular order among themselves.
/// One definition is linked: copy_batch.cpp (CUDA >= 13) or copy_each.cpp, which knows kDriver
/// only.
void enqueue_copies(std::span<const CopyRequest> copies, CopyPath path, cudaStream_t stream);

/// Work on some streams up to a point: polls finished once every event has passed.
class EventsPending final : public Pending {
 public:
  /// Finished once everything on the stream so far is.
  void add(cudaStream_t stream);
  /// The same, timed since `begin`, a timing event recorded on this stream.
  void add(Event begin, cudaStream_t stream);
  [[nodiscard]] bool poll() override;
  /// Of the stream that took longest.
  [[nodiscard]] std::optional<Seconds> device_time() const override { return time_; }

 private:
  struct Span {
    Event begin;  ///< null when not timed
    Event end;
  };
  std::vector<Span> spans_;
  std::optional<Seconds> time_;
};

/// A lane of copies: calls start in order of nothing, finish when polled so.
class CopyStreams {
 public:
  CopyStreams(std::size_t streams, CopyPath path, bool high_priority);

  /// Neighbouring ranges are joined, then dealt over the streams by bytes.
  [[nodiscard]] std::unique_ptr<Pending> start(std::span<const CopyRequest> copies);

 private:
  std::vector<Stream> streams_;
  CopyPath path_;
  std::size_t next_ = 0;  ///< where the next call begins, so that single copies alternate
};

/// Joins copies whose sources and destinations both continue each other (sorted by source).
[[nodiscard]] std::vector<CopyRequest> joined(std::span<const CopyRequest> copies);

}  // namespace moeshift
