// SPDX-License-Identifier: Apache-2.0
// Owners of a run time's handles. Views (DeviceStream, ...) are passed down, owners stay on top; a
// destructor never throws and never waits for a peer.
#pragma once

#include <cstddef>
#include <memory>

#include "moeshift/core/units.hpp"
#include "moeshift/execute_cuda/runtime/device_runtime.hpp"

namespace moeshift {

template <auto Destroy>
struct HandleCloser {
  using pointer = void*;
  const DeviceRuntime* runtime = nullptr;
  void operator()(void* handle) const noexcept { (runtime->*Destroy)(handle); }
};
template <auto Destroy>
using Owned = std::unique_ptr<void, HandleCloser<Destroy>>;

using Stream = Owned<&DeviceRuntime::destroy_stream>;
using Event = Owned<&DeviceRuntime::destroy_event>;
/// Memory of another process, mapped here.
using MappedMemory = Owned<&DeviceRuntime::unmap>;
using DeviceBuffer = Owned<&DeviceRuntime::free>;
/// Host memory that copy engines read and write without a bounce.
using PinnedBuffer = Owned<&DeviceRuntime::free_pinned>;

/// A stream that never waits for the default stream; `high_priority` lets it overtake a model's.
[[nodiscard]] Stream make_stream(const DeviceRuntime& runtime, bool high_priority = false);
/// An event for ordering only.
[[nodiscard]] Event make_event(const DeviceRuntime& runtime);
/// An event that carries a time stamp.
[[nodiscard]] Event make_timing_event(const DeviceRuntime& runtime);

/// @throws InfeasibleError that says how much was asked for and how much is free.
[[nodiscard]] DeviceBuffer allocate_device(const DeviceRuntime& runtime, Bytes bytes);
[[nodiscard]] PinnedBuffer allocate_pinned(const DeviceRuntime& runtime, Bytes bytes);

/// Device memory that is allocated and freed in the order of a stream, so that neither waits for
/// anybody's kernels: allocating and freeing may wait for a kernel that waits for a peer.
class StreamBuffer {
 public:
  StreamBuffer(const DeviceRuntime& runtime, std::size_t bytes, DeviceStream stream)
      : runtime_(&runtime), data_(runtime.allocate_on(bytes, stream)), stream_(stream) {}
  StreamBuffer(const StreamBuffer&) = delete;
  StreamBuffer& operator=(const StreamBuffer&) = delete;
  ~StreamBuffer() { runtime_->free_on(data_, stream_); }

  [[nodiscard]] void* get() const { return data_; }

 private:
  const DeviceRuntime* runtime_;
  void* data_;
  DeviceStream stream_;
};

}  // namespace moeshift
