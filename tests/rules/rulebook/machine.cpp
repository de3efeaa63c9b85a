// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <unordered_set>
#include <utility>

#include "communicators.hpp"

namespace rulebook {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

/// Seconds.
constexpr double kQuiet = 0.003;

using Clock = std::chrono::steady_clock;

bool conflict(const Access& a, const Access& b) {
  if (!a.write && !b.write) return false;
  return a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

bool conflict(const Work& a, const Work& b) {
  for (const Access& one : a.accesses) {
    for (const Access& two : b.accesses) {
      if (conflict(one, two)) return true;
    }
  }
  return false;
}

/// Whether `first` comes before whoever has `after` as what comes before it.
bool is_before(const std::shared_ptr<Work>& first, std::vector<Work*> after) {
  std::unordered_set<Work*> visited;
  while (!after.empty()) {
    Work* const work = after.back();
    after.pop_back();
    if (work == first.get()) return true;
    if (!visited.insert(work).second) continue;
    for (const auto& before : work->after) after.push_back(before.get());
  }
  return false;
}

}  // namespace

Machine& Machine::get() {
  static Machine machine;
  return machine;
}

Machine::Machine() : communicators_(std::make_unique<Communicators>(*this)) {
  thread_ = std::thread([this] { run(); });
}

Machine::~Machine() {
  {
    const std::lock_guard lock(mutex);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

int& Machine::bound_device() {
  thread_local int device = 0;
  return device;
}

std::vector<std::pair<std::uint64_t, std::string>>& Machine::open_ranges() {
  thread_local std::vector<std::pair<std::uint64_t, std::string>> ranges;
  return ranges;
}

void Machine::reset(const Options& options) {
  options_ = options;
  random_.seed(options.seed);
  findings_.clear();
  reported_.clear();
  for (const auto& [start, block] : blocks_) std::free(const_cast<std::byte*>(start));
  blocks_.clear();
  stream_handles_.clear();
  event_handles_.clear();
  streams_.clear();
  live_.clear();
  drops_.clear();
  mappings = 0;
  turn_ = 0;
  communicators_ = std::make_unique<Communicators>(*this);
}

/// The device's own thread: hosts that only wait see it get on.
void Machine::run() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex);
  auto idle_since = Clock::now();
  std::uint64_t last_change = 0;
  while (!stopping_) {
    if (step()) {
      idle_since = Clock::now();
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
      continue;
    }
    if (last_change != changes_) idle_since = Clock::now();
    last_change = changes_;
    const std::chrono::duration<double> idle = Clock::now() - idle_since;
    // Not while hosts go on giving it work: that costs as much as there is work in line.
    if (changes_ != looked_at_ && idle.count() > kQuiet) {
      communicators_->look_for_deadlock();
      looked_at_ = changes_;
    }
    communicators_->look_for_stuck(idle.count());
    changed_.wait_for(lock, 5ms);
  }
}

void Machine::report(std::string rule, int rank, std::string call, std::string text) {
  Finding finding{std::move(rule), rank, std::move(call), std::move(text), {}};
  for (const auto& [number, name] : open_ranges()) finding.within.push_back(name);
  findings_.push_back(std::move(finding));
}

void Machine::report_missing_record(int rank, std::string call, std::string text) {
  drops_.erase(rank);
  report("event never recorded", rank, std::move(call), std::move(text));
}

void Machine::report_once(const std::string& key, std::string rule, int rank, std::string call,
                          std::string text) {
  if (!reported_.emplace(key, true).second) return;
  report(std::move(rule), rank, std::move(call), std::move(text));
}

void Machine::report_work(const std::string& key, std::string rule, const Work& work,
                          std::string text) {
  if (!reported_.emplace(key, true).second) return;
  findings_.push_back({std::move(rule), work.rank, work.call, std::move(text), work.within});
}

void* Machine::create_stream() {
  auto stream = std::make_shared<Stream>();
  stream->device = stream->rank = bound_device();
  void* const handle = reinterpret_cast<void*>(0x10000 + next_number() * 16);
  stream_handles_[handle] = stream;
  streams_.push_back(std::move(stream));
  return handle;
}

void* Machine::create_event(bool timing) {
  auto event = std::make_shared<Event>();
  event->rank = bound_device();
  event->timing = timing;
  void* const handle = reinterpret_cast<void*>(0x10000 + next_number() * 16);
  event_handles_[handle] = std::move(event);
  return handle;
}

bool Machine::destroy_stream(void* handle) {
  const auto stream = stream_of(handle, "StreamDestroy");
  if (!stream) return false;
  stream->closed = true;
  stream_handles_.erase(handle);
  if (stream->queue.empty()) std::erase(streams_, stream);
  return true;
}

bool Machine::destroy_event(void* handle) {
  if (!event_of(handle, "EventDestroy")) return false;
  event_handles_.erase(handle);
  return true;
}

std::shared_ptr<Stream> Machine::stream_of(void* handle, const char* call) {
  const auto found = stream_handles_.find(handle);
  if (found != stream_handles_.end()) return found->second;
  report("use after destroy", bound_device(), call, "there is no such stream, or no more");
  return nullptr;
}

std::shared_ptr<Event> Machine::event_of(void* handle, const char* call) {
  const auto found = event_handles_.find(handle);
  if (found != event_handles_.end()) return found->second;
  report("use after destroy", bound_device(), call, "there is no such event, or no more");
  return nullptr;
}

std::shared_ptr<Work> Machine::make_work(int rank, std::string call) {
  auto work = std::make_shared<Work>();
  work->rank = rank;
  work->call = std::move(call);
  for (const auto& [number, name] : open_ranges()) work->within.push_back(name);
  work->not_before = turn_ + below(options_.delay + 1);
  return work;
}

void Machine::check_order(const Stream& stream, const std::shared_ptr<Work>& work) {
  if (work->accesses.empty()) return;
  std::vector<Work*> before;
  for (const auto& one : work->after) before.push_back(one.get());
  if (stream.last && !stream.last->seen) before.push_back(stream.last.get());
  for (const auto& other : live_) {
    if (other == work || !conflict(*other, *work) || is_before(other, before)) continue;
    Finding finding{"buffer before its event", work->rank, work->call,
                    "uses bytes of \"" + other->call + "\" of rank " + std::to_string(other->rank) +
                        ", which " + (other->done ? "nobody has seen to be done" : "is not done"),
                    work->within};
    findings_.push_back(std::move(finding));
  }
  live_.push_back(work);
}

void Machine::put(Stream& stream, std::shared_ptr<Work> work) {
  if (stream.last && !stream.last->seen) work->after.push_back(stream.last);
  stream.last = work;
  stream.queue.push_back(std::move(work));
  progressed();
}

void Machine::enqueue(Stream& stream, std::shared_ptr<Work> work) {
  check_order(stream, work);
  put(stream, std::move(work));
}

void Machine::observe(const std::shared_ptr<Work>& first) {
  std::vector<std::shared_ptr<Work>> open = {first};
  bool found = false;
  while (!open.empty()) {
    const std::shared_ptr<Work> work = std::move(open.back());
    open.pop_back();
    if (work->seen) continue;
    work->seen = found = true;
    for (auto& before : work->after) open.push_back(std::move(before));
    work->after.clear();
  }
  if (found) std::erase_if(live_, [](const auto& work) { return work->seen; });
}

void Machine::forget(const std::shared_ptr<Work>& work) {
  work->done = work->seen = true;
  std::erase(live_, work);
}

void Machine::progressed() {
  ++changes_;
  changed_.notify_all();
}

/// Collects all that could happen now and lets the seed choose.
bool Machine::step_once(std::uint64_t* earliest) {
  std::vector<std::function<void()>> candidates;
  for (const auto& stream : streams_) {
    if (stream->queue.empty()) continue;
    const std::shared_ptr<Work>& head = stream->queue.front();
    if (head->kernel && head->kernel->started) continue;
    const bool ordered = std::ranges::all_of(head->after, [](const auto& w) { return w->done; });
    if (!ordered) continue;
    if (head->not_before > turn_) {
      *earliest = std::min(*earliest, head->not_before);
      continue;
    }
    if (head->kernel) {
      if (communicators_->can_start(*head->kernel)) {
        candidates.emplace_back([this, kernel = head->kernel] { communicators_->start(kernel); });
      }
      continue;
    }
    candidates.emplace_back([this, stream, head] {
      if (head->run) head->run();
      head->done = true;
      stream->queue.pop_front();
      if (stream->closed && stream->queue.empty()) std::erase(streams_, stream);
    });
  }
  communicators_->candidates(candidates, earliest);
  if (candidates.empty()) return false;
  candidates[below(candidates.size())]();
  ++turn_;
  ++changes_;
  return true;
}

bool Machine::step() {
  std::uint64_t earliest = kNever;
  if (step_once(&earliest)) return true;
  if (earliest != kNever) {
    turn_ = earliest;
    return step_once(&earliest);
  }
  return false;
}

std::vector<Finding> Machine::leaks() const {
  std::vector<Finding> leaks;
  const auto add = [&](int rank, std::string call, std::string text) {
    leaks.push_back({"leak", rank, std::move(call), std::move(text), {}});
  };
  for (const auto& [start, block] : blocks_) {
    add(block.rank, block.call, std::to_string(block.bytes) + " bytes were never freed");
  }
  for (const auto& [handle, stream] : stream_handles_) {
    add(stream->rank, "StreamCreate", "a stream was never destroyed");
  }
  for (const auto& [handle, event] : event_handles_) {
    add(event->rank, "EventCreate", "an event was never destroyed");
  }
  if (mappings > 0) add(-1, "IpcOpenMemHandle", "memory of a peer is still mapped");
  communicators_->append_leaks(leaks);
  return leaks;
}

std::string Finding::line() const {
  std::string whole = rule + ": rank " + std::to_string(rank) + ": " + call + ": " + text;
  for (const std::string& name : within) whole += " [" + name + "]";
  return whole;
}

void configure(const Options& options) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  machine.reset(options);
}

std::vector<Finding> findings() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.findings();
}

std::vector<Finding> leaks() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.leaks();
}

std::uint64_t turns() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  return machine.turn();
}

void settle() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  while (machine.step()) {
  }
}

void drop_records() {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  machine.drop_records(Machine::bound_device());
}

std::uint64_t range_begin(const std::string& name) {
  Machine& machine = Machine::get();
  const std::lock_guard lock(machine.mutex);
  const std::uint64_t number = machine.next_number();
  Machine::open_ranges().emplace_back(number, name);
  return number;
}

void range_end(std::uint64_t range) {
  std::erase_if(Machine::open_ranges(), [&](const auto& open) { return open.first == range; });
}

}  // namespace rulebook
