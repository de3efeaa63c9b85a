// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/watched_stream.hpp"

#include <atomic>
#include <utility>

#include <cudaTypedefs.h>

#include "moeshift/execute_cuda/cuda_check.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kPollsPerQuestion = 4096;

using WriteValue = PFN_cuStreamWriteValue64_v11070;

/// The driver's call, which this program does not link so that it starts without a driver; null
/// where there is none.
WriteValue write_value() {
  static const WriteValue call = [] {
    void* address = nullptr;
    cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
    const cudaError_t result = cudaGetDriverEntryPointByVersion("cuStreamWriteValue64", &address,
                                                                11070, cudaEnableDefault, &found);
#else
    const cudaError_t result =
        cudaGetDriverEntryPoint("cuStreamWriteValue64", &address, cudaEnableDefault, &found);
#endif
    const bool there = result == cudaSuccess && found == cudaDriverEntryPointSuccess;
    return there ? reinterpret_cast<WriteValue>(address) : nullptr;
  }();
  return call;
}

bool write_on(cudaStream_t stream, void* word, std::uint64_t value) {
  return write_value()(stream, reinterpret_cast<CUdeviceptr>(word), value,
                       CU_STREAM_WRITE_VALUE_DEFAULT) == CUDA_SUCCESS;
}

}  // namespace

WatchedStream::WatchedStream(bool high_priority) : stream_(make_stream(high_priority)) {
  if (write_value() == nullptr) return;
  PinnedBuffer word = allocate_pinned(Bytes(sizeof(std::uint64_t)));
  *static_cast<std::uint64_t*>(word.get()) = 0;
  if (write_on(get(), word.get(), 0)) counter_ = std::move(word);
}

WatchedStream::Work WatchedStream::begin() {
  Work work{.begin = take_event(), .end = take_event()};
  check(cudaEventRecord(work.begin.get(), get()));
  return work;
}

void WatchedStream::end(Work& work) {
  check(cudaEventRecord(work.end.get(), get()));
  work.number = ++issued_;
  if (counter_ && !write_on(get(), counter_.get(), work.number)) counter_.reset();
}

WatchedStream::Work WatchedStream::mark() {
  Work work;
  work.number = ++issued_;
  if (counter_ && !write_on(get(), counter_.get(), work.number)) counter_.reset();
  return work;
}

bool WatchedStream::done(Work& work) const {
  if (!counter_ || ++work.polls % kPollsPerQuestion == 0) {
    return work.end ? finished(work.end.get()) : finished(get());
  }
  const std::atomic_ref<std::uint64_t> counter(*static_cast<std::uint64_t*>(counter_.get()));
  return counter.load(std::memory_order_acquire) >= work.number;
}

std::optional<Seconds> WatchedStream::retire(Work&& work) {
  if (!work.end) return std::nullopt;
  const Seconds time = elapsed(work.begin.get(), work.end.get());
  spare_.push_back(std::move(work.begin));
  spare_.push_back(std::move(work.end));
  return time;
}

Event WatchedStream::take_event() {
  if (spare_.empty()) return make_timing_event();
  Event event = std::move(spare_.back());
  spare_.pop_back();
  return event;
}

}  // namespace moeshift
