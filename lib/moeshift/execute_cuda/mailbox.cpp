// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/mailbox.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/gather.hpp"

namespace moeshift {
namespace {

constexpr std::uint64_t kDepth = Mailbox::kDepth;
constexpr std::uint64_t kTurnsPerLap = 3;
constexpr std::uint64_t kPosted = 1;
constexpr std::uint64_t kCopied = 2;

std::uint64_t turn_of(std::uint64_t sequence, std::uint64_t state) {
  return sequence / kDepth * kTurnsPerLap + state;
}

/// Flags first (one "aborted", one "copying" per rank), then ranks x ranks rings.
std::size_t flag_bytes(std::size_t ranks) {
  const std::size_t bytes = (ranks + 1) * sizeof(std::atomic<std::uint32_t>);
  return (bytes + alignof(MailboxEntry) - 1) / alignof(MailboxEntry) * alignof(MailboxEntry);
}

std::size_t area_bytes(std::size_t ranks) {
  return flag_bytes(ranks) + ranks * ranks * kDepth * sizeof(MailboxEntry);
}

[[noreturn]] void fail(const char* doing) {
  throw DeviceError(std::string("cannot ") + doing + ": " + std::strerror(errno));
}

struct File {
  int descriptor = -1;
  ~File() {
    if (descriptor >= 0) (void)::close(descriptor);
  }
};

std::byte* map(int descriptor, std::size_t bytes) {
  void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (start == MAP_FAILED) fail("map the mailbox");
  return static_cast<std::byte*>(start);
}

}  // namespace

Mailbox::Mailbox(ControlPlane& control, Deadline deadline)
    : self_(control.self()), ranks_(control.size()) {
  const std::size_t bytes = area_bytes(ranks_);
  File file;
  std::string path;
  if (self_ == RankId(0)) {
    file.descriptor = ::memfd_create("moeshift-mailbox", MFD_CLOEXEC);
    if (file.descriptor < 0 || ::ftruncate(file.descriptor, static_cast<off_t>(bytes)) != 0) {
      fail("make the mailbox");
    }
    path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file.descriptor);
  }
  path = gather(control, path, deadline).front();
  if (self_ != RankId(0)) {
    file.descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file.descriptor < 0) fail("open rank 0's mailbox (all ranks must be on one machine)");
  }
  area_ = {map(file.descriptor, bytes), Unmap{bytes}};
  // Nobody closes before all have opened.
  (void)gather(control, "", deadline);
}

bool Mailbox::post(RankId to, std::uint64_t sequence, const MemoryRange& range) {
  MailboxEntry& place = entry(self_, to, sequence);
  if (place.turn.load(std::memory_order_acquire) != turn_of(sequence, 0)) return false;
  place.range = range;
  place.turn.store(turn_of(sequence, kPosted), std::memory_order_release);
  return true;
}

const MemoryRange* Mailbox::posted(RankId from, std::uint64_t sequence) const {
  const MailboxEntry& place = entry(from, self_, sequence);
  const bool there = place.turn.load(std::memory_order_acquire) == turn_of(sequence, kPosted);
  return there ? &place.range : nullptr;
}

void Mailbox::mark_copied(RankId from, std::uint64_t sequence) {
  entry(from, self_, sequence).turn.store(turn_of(sequence, kCopied), std::memory_order_release);
}

bool Mailbox::collect(RankId to, std::uint64_t sequence) {
  MailboxEntry& place = entry(self_, to, sequence);
  if (place.turn.load(std::memory_order_acquire) != turn_of(sequence, kCopied)) return false;
  place.turn.store(turn_of(sequence, kTurnsPerLap), std::memory_order_release);
  return true;
}

bool Mailbox::aborted() const {
  return reinterpret_cast<std::atomic<std::uint32_t>*>(area_.get())->load() != 0;
}

void Mailbox::forbid() noexcept {
  reinterpret_cast<std::atomic<std::uint32_t>*>(area_.get())->store(1);
}

void Mailbox::wait_for_others() const noexcept {
  const Deadline deadline = Deadline::in(Seconds(1.0));
  for (const RankId rank : all_ids<RankId>(ranks_)) {
    while (rank != self_ && copying(rank).load() != 0 && !deadline.expired()) {
      std::this_thread::yield();
    }
  }
}

void Mailbox::Unmap::operator()(std::byte* start) const noexcept {
  (void)::munmap(start, bytes);
}

MailboxEntry& Mailbox::entry(RankId from, RankId to, std::uint64_t sequence) const {
  auto* const entries = reinterpret_cast<MailboxEntry*>(area_.get() + flag_bytes(ranks_));
  return entries[(from.index() * ranks_ + to.index()) * kDepth + sequence % kDepth];
}

std::atomic<std::uint32_t>& Mailbox::copying(RankId rank) const noexcept {
  return reinterpret_cast<std::atomic<std::uint32_t>*>(area_.get())[rank.index() + 1];
}

}  // namespace moeshift
