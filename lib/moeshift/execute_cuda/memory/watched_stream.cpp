// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/memory/watched_stream.hpp"

#include <atomic>
#include <utility>

namespace moeshift {
namespace {

constexpr std::uint32_t kPollsPerQuestion = 4096;

}  // namespace

WatchedStream::WatchedStream(const DeviceRuntime& runtime, bool high_priority)
    : runtime_(runtime),
      stream_(make_stream(runtime, high_priority)),
      counter_(allocate_pinned(runtime, Bytes(sizeof(std::uint64_t)))) {
  *static_cast<std::uint64_t*>(counter_.get()) = 0;
  if (!write(0)) counter_.reset();
}

bool WatchedStream::write(std::uint64_t value) {
  return runtime_.write_word(get(), static_cast<std::uint64_t*>(counter_.get()), value);
}

WatchedStream::Work WatchedStream::begin() {
  Work work{.begin = take_event(), .end = take_event()};
  runtime_.record(work.begin.get(), get());
  return work;
}

void WatchedStream::end(Work& work) {
  runtime_.record(work.end.get(), get());
  work.number = ++issued_;
  if (counter_ && !write(work.number)) counter_.reset();
}

WatchedStream::Work WatchedStream::mark() {
  Work work;
  work.number = ++issued_;
  if (counter_ && !write(work.number)) counter_.reset();
  return work;
}

bool WatchedStream::done(Work& work) const {
  if (!counter_ || ++work.polls % kPollsPerQuestion == 0) {
    return work.end ? runtime_.passed(work.end.get()) : runtime_.idle(get());
  }
  const std::atomic_ref<std::uint64_t> counter(*static_cast<std::uint64_t*>(counter_.get()));
  return counter.load(std::memory_order_acquire) >= work.number;
}

std::optional<Seconds> WatchedStream::retire(Work&& work) {
  if (!work.end) return std::nullopt;
  const Seconds time = runtime_.elapsed(work.begin.get(), work.end.get());
  spare_.push_back(std::move(work.begin));
  spare_.push_back(std::move(work.end));
  return time;
}

Event WatchedStream::take_event() {
  if (spare_.empty()) return make_timing_event(runtime_);
  Event event = std::move(spare_.back());
  spare_.pop_back();
  return event;
}

}  // namespace moeshift
