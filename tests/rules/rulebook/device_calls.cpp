// SPDX-License-Identifier: Apache-2.0
#include "device_calls.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "communicators.hpp"

namespace rulebook {
namespace {

using Clock = std::chrono::steady_clock;

std::string text_of(const char* call, std::size_t bytes) {
  return std::string(call) + "(" + std::to_string(bytes) + " bytes)";
}

/// Asks until `ready`, letting the device work; false after ten seconds.
template <class Ready>
bool wait(std::unique_lock<std::mutex>& lock, Machine& machine, Ready&& ready) {
  const auto end = Clock::now() + std::chrono::seconds(10);
  while (!ready()) {
    if (machine.step()) continue;
    if (Clock::now() > end) return false;
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  return true;
}

/// A host that asks lets the device do something now and then.
void help(Machine& machine) {
  if (machine.below(2) == 0) (void)machine.step();
}

}  // namespace

int device_count() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.options().devices;
}

bool bind_device(int device) {
  if (device < 0 || device >= device_count()) return false;
  Machine::bound_device() = device;
  return true;
}

void device_bytes(std::size_t* free, std::size_t* total) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  *total = machine.options().device_bytes;
  *free = *total - std::min(*total, machine.used_on(Machine::bound_device()));
}

void* device_allocate(std::size_t bytes, const char* call) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.allocate(bytes, false, call);
}

void* host_allocate(std::size_t bytes, const char* call) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.allocate(bytes, true, call);
}

bool device_free(void* start, const char* call) {
  Machine& machine = Machine::get();
  std::unique_lock lock(machine.mutex);
  if (start == nullptr) return true;
  // What waits for a peer is reported by free(); the rest of the device's work ends here.
  (void)wait(lock, machine, [&] {
    return std::ranges::all_of(machine.streams(), [&](const auto& stream) {
      if (stream->device != Machine::bound_device() || stream->queue.empty()) return true;
      return std::ranges::any_of(stream->queue, [](const auto& w) { return w->kernel != nullptr; });
    });
  });
  return machine.free(start, call);
}

bool free_on(void* start, void* handle) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto stream = machine.stream_of(handle, "FreeAsync");
  if (!stream) return false;
  const auto work = machine.make_work(stream->rank, "FreeAsync");
  work->run = [&machine, start] { (void)machine.free(start, "FreeAsync"); };
  machine.enqueue(*stream, work);
  return true;
}

void* make_stream() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.create_stream();
}

bool drop_stream(void* stream) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.destroy_stream(stream);
}

bool synchronize(void* handle) {
  Machine& machine = Machine::get();
  std::unique_lock lock(machine.mutex);
  const auto stream = machine.stream_of(handle, "StreamSynchronize");
  if (!stream) return false;
  const auto last = stream->last;
  if (!last) return true;
  if (!wait(lock, machine, [&] { return last->done; })) {
    machine.report("waits for ever", stream->rank, "StreamSynchronize", "for " + last->call);
    return false;
  }
  machine.observe(last);
  return true;
}

State query_stream(void* handle) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto stream = machine.stream_of(handle, "StreamQuery");
  if (!stream) return State::kBad;
  help(machine);
  if (stream->last && !stream->last->done) return State::kNotYet;
  if (stream->last) machine.observe(stream->last);
  return State::kDone;
}

void* make_event(bool timing) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.create_event(timing);
}

bool drop_event(void* event) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.destroy_event(event);
}

bool record(void* event_handle, void* stream_handle) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto event = machine.event_of(event_handle, "EventRecord");
  const auto stream = machine.stream_of(stream_handle, "EventRecord");
  if (!event || !stream) return false;
  if (machine.drops_records(stream->rank)) {
    event->mark = nullptr;  // an event may have served before
    return true;
  }
  event->mark = machine.make_work(stream->rank, "EventRecord");
  event->mark->run = [time = event->time] {
    *time = std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  };
  machine.put(*stream, event->mark);
  return true;
}

bool wait_event(void* stream_handle, void* event_handle) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto event = machine.event_of(event_handle, "StreamWaitEvent");
  const auto stream = machine.stream_of(stream_handle, "StreamWaitEvent");
  if (!event || !stream) return false;
  if (!event->mark) {
    machine.report_missing_record(stream->rank, "StreamWaitEvent", "the stream waits for nothing");
    return true;
  }
  const auto work = machine.make_work(stream->rank, "StreamWaitEvent");
  if (!event->mark->seen) work->after.push_back(event->mark);
  machine.put(*stream, work);
  return true;
}

State query(void* handle) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto event = machine.event_of(handle, "EventQuery");
  if (!event) return State::kBad;
  if (!event->mark) {
    machine.report_missing_record(event->rank, "EventQuery", "it passes at once and says nothing");
    return State::kDone;
  }
  help(machine);
  if (!event->mark->done) return State::kNotYet;
  machine.observe(event->mark);
  return State::kDone;
}

bool elapsed(float* milliseconds, void* from_handle, void* to_handle) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto from = machine.event_of(from_handle, "EventElapsedTime");
  const auto to = machine.event_of(to_handle, "EventElapsedTime");
  if (!from || !to) return false;
  if (!from->timing || !to->timing || !from->mark || !to->mark || !from->mark->done ||
      !to->mark->done) {
    machine.report_missing_record(from->rank, "EventElapsedTime",
                                  "both must be timing events that have passed");
    return false;
  }
  *milliseconds = static_cast<float>((*to->time - *from->time) * 1e3);
  return true;
}

bool copy(void* to, const void* from, std::size_t bytes, Way way, void* handle) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto stream = machine.stream_of(handle, "MemcpyAsync");
  if (!stream) return false;
  const auto work = machine.make_work(stream->rank, text_of("MemcpyAsync", bytes));
  const Access read{static_cast<const std::byte*>(from), bytes, false};
  const Access write{static_cast<const std::byte*>(to), bytes, true};
  if (way != Way::kToHost) machine.check_range(write, work->rank, work->call);
  if (way != Way::kToDevice) machine.check_range(read, work->rank, work->call);
  work->accesses.push_back(write);
  if (way == Way::kToDevice && !machine.is_known(from)) {
    // Pageable memory has been read when the call returns.
    work->run = [to, held = std::vector<std::byte>(read.start, read.start + bytes)] {
      std::memcpy(to, held.data(), held.size());
    };
  } else {
    work->accesses.push_back(read);
    // Ranges that overlap are a finding, and end nothing.
    work->run = [to, from, bytes] { std::memmove(to, from, bytes); };
  }
  machine.enqueue(*stream, work);
  return true;
}

bool set(void* start, int value, std::size_t bytes, void* handle) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto stream = machine.stream_of(handle, "MemsetAsync");
  if (!stream) return false;
  const auto work = machine.make_work(stream->rank, text_of("MemsetAsync", bytes));
  work->accesses.push_back({static_cast<const std::byte*>(start), bytes, true});
  machine.check_range(work->accesses.front(), work->rank, work->call);
  work->run = [start, value, bytes] { std::memset(start, value, bytes); };
  machine.enqueue(*stream, work);
  return true;
}

bool write_word(void* handle, std::uint64_t* word, std::uint64_t value) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const auto stream = machine.stream_of(handle, "StreamWriteValue");
  if (!stream) return false;
  const auto work = machine.make_work(stream->rank, "StreamWriteValue");
  // Who reads the word sees that all before it is done, without a call that we would hear of.
  work->run = [&machine, word, value, raw = std::weak_ptr<Work>(work)] {
    if (machine.is_known(word)) {
      std::atomic_ref<std::uint64_t>(*word).store(value, std::memory_order_release);
    }
    if (const auto self = raw.lock()) machine.observe(self);
  };
  machine.put(*stream, work);
  return true;
}

bool is_allocated(const void* start) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.is_known(start);
}

void count_mapping(int change) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  machine.mappings += static_cast<std::size_t>(change);
}

}  // namespace rulebook
