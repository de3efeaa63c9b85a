// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/peer/mailbox.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/file_descriptor.hpp"
#include "moeshift/execute/world/passed_files.hpp"

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

/// A file of memory whose size nobody can change any more, so that no peer makes a mapping fault.
FileDescriptor make_area(std::size_t bytes) {
  FileDescriptor file(::memfd_create("moeshift-mailbox", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.is_open() || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0 ||
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    fail("make the mailbox");
  }
  return file;
}

void check_area(int file, std::size_t bytes) {
  constexpr int kSized = F_SEAL_SHRINK | F_SEAL_GROW;
  struct stat found{};
  const bool whole = ::fstat(file, &found) == 0 && S_ISREG(found.st_mode) &&
                     found.st_size == static_cast<off_t>(bytes);
  if (whole && (::fcntl(file, F_GET_SEALS) & kSized) == kSized) return;
  throw DeviceError("rank 0 handed over what is no mailbox");
}

std::byte* map(int descriptor, std::size_t bytes) {
  void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (start == MAP_FAILED) fail("map the mailbox");
  return static_cast<std::byte*>(start);
}

}  // namespace

Mailbox::Mailbox(ControlPlane& control, Deadline deadline)
    : self_(control.self()), ranks_(control.size()) {
  const std::size_t bytes = area_bytes(ranks_);
  // Every rank hands a file to every other; that of rank 0 is the one they share.
  FileDescriptor file = make_area(self_ == RankId(0) ? bytes : 1);
  const int mine = file.get();
  FileDescriptor shared;
  exchange_files(
      control, mine, deadline, [] { return false; },
      [&](RankId from, FileDescriptor theirs) {
        if (from == RankId(0)) shared = std::move(theirs);
      });
  if (self_ == RankId(0)) shared = std::move(file);
  check_area(shared.get(), bytes);
  area_ = {map(shared.get(), bytes), Unmap{bytes}};
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
