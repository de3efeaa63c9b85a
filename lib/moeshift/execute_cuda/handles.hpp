// SPDX-License-Identifier: Apache-2.0
// Owners of CUDA handles. Views (cudaStream_t, ...) are passed down, owners stay on top;
// a destructor never throws and never waits for a peer.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

#include <cuda_runtime_api.h>

#include "moeshift/core/units.hpp"

namespace moeshift {

/// A CUDA device ordinal of this process; a RankId is something else.
struct DeviceId {
  int ordinal = 0;
  auto operator<=>(const DeviceId&) const = default;
};

template <class Handle, auto Destroy>
struct HandleCloser {
  using pointer = Handle;
  void operator()(Handle handle) const noexcept { (void)Destroy(handle); }
};
template <class Handle, auto Destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, HandleCloser<Handle, Destroy>>;

using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
/// Memory of another process, mapped here.
using IpcMemory = Owned<void*, cudaIpcCloseMemHandle>;
using DeviceBuffer = Owned<void*, cudaFree>;
/// Host memory that copy engines read and write without a bounce.
using PinnedBuffer = Owned<void*, cudaFreeHost>;

/// A stream that never waits for the default stream; `high_priority` lets it overtake a model's.
[[nodiscard]] Stream make_stream(bool high_priority = false);
/// An event for ordering only.
[[nodiscard]] Event make_event();
/// An event that carries a time stamp.
[[nodiscard]] Event make_timing_event();
/// An event that another process can open (cudaIpcGetEventHandle).
[[nodiscard]] Event make_shared_event();

/// @throws InfeasibleError that says how much was asked for and how much is free.
[[nodiscard]] DeviceBuffer allocate_device(Bytes bytes);
[[nodiscard]] PinnedBuffer allocate_pinned(Bytes bytes);

/// Device memory that is allocated and freed in the order of a stream, so that neither waits for
/// anybody's kernels: cudaMalloc and cudaFree may wait for a kernel that waits for a peer.
class StreamBuffer {
 public:
  StreamBuffer(std::size_t bytes, cudaStream_t stream);
  StreamBuffer(const StreamBuffer&) = delete;
  StreamBuffer& operator=(const StreamBuffer&) = delete;
  ~StreamBuffer() { (void)cudaFreeAsync(data_, stream_); }

  [[nodiscard]] void* get() const { return data_; }

 private:
  void* data_ = nullptr;
  cudaStream_t stream_;
};

/// The time between two timing events that have both passed.
[[nodiscard]] Seconds elapsed(cudaEvent_t from, cudaEvent_t to);

/// True when everything enqueued so far is done.
/// @throws DeviceError when the work failed.
[[nodiscard]] bool finished(cudaStream_t stream);
[[nodiscard]] bool finished(cudaEvent_t event);

}  // namespace moeshift
