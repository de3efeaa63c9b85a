// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/handles.hpp"

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {
namespace {

Event make_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, flags));
  return Event(event);
}

bool passed(cudaError_t state) {
  if (state == cudaErrorNotReady) return false;
  check(state);
  return true;
}

}  // namespace

Stream make_stream(bool high_priority) {
  int least = 0;
  int greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                     high_priority ? greatest : least));
  return Stream(stream);
}

Event make_event() {
  return make_event(cudaEventDisableTiming);
}

Event make_timing_event() {
  return make_event(cudaEventDefault);
}

Event make_shared_event() {
  return make_event(cudaEventDisableTiming | cudaEventInterprocess);
}

DeviceBuffer allocate_device(Bytes bytes) {
  void* pointer = nullptr;
  const cudaError_t result = cudaMalloc(&pointer, static_cast<std::size_t>(bytes.count()));
  if (result == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    std::size_t free = 0;
    std::size_t total = 0;
    check(cudaMemGetInfo(&free, &total));
    throw InfeasibleError(
        fmt::format("{:.2f} GiB of device memory wanted, {:.2f} of {:.2f} GiB free",
                    static_cast<double>(bytes.count()) / 0x1p30, static_cast<double>(free) / 0x1p30,
                    static_cast<double>(total) / 0x1p30));
  }
  check(result);
  return DeviceBuffer(pointer);
}

PinnedBuffer allocate_pinned(Bytes bytes) {
  void* pointer = nullptr;
  check(cudaHostAlloc(&pointer, static_cast<std::size_t>(bytes.count()), cudaHostAllocPortable));
  return PinnedBuffer(pointer);
}

StreamBuffer::StreamBuffer(std::size_t bytes, cudaStream_t stream) : stream_(stream) {
  check(cudaMallocAsync(&data_, bytes, stream));
}

Seconds elapsed(cudaEvent_t from, cudaEvent_t to) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, from, to));
  return Seconds(static_cast<double>(milliseconds) * 1e-3);
}

bool finished(cudaStream_t stream) {
  return passed(cudaStreamQuery(stream));
}

bool finished(cudaEvent_t event) {
  return passed(cudaEventQuery(event));
}

}  // namespace moeshift
