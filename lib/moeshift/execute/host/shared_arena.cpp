// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/host/shared_arena.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kPage = 4096;

}  // namespace

SharedMapping::SharedMapping(int file, std::size_t bytes) : bytes_(bytes) {
  void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (start == MAP_FAILED) {
    throw DeviceError(
        fmt::format("cannot map {} bytes of shared memory: {}", bytes, std::strerror(errno)));
  }
  start_ = static_cast<std::byte*>(start);
}

SharedMapping::SharedMapping(SharedMapping&& other) noexcept
    : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

SharedMapping& SharedMapping::operator=(SharedMapping&& other) noexcept {
  std::swap(start_, other.start_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

SharedMapping::~SharedMapping() {
  if (start_ != nullptr) munmap(start_, bytes_);
}

SharedArena::SharedArena(Bytes limit)
    : limit_(std::max(limit.count(), kPage)), file_(memfd_create("moeshift", MFD_CLOEXEC)) {
  if (!file_.is_open() || ftruncate(file_.get(), limit_) != 0) {
    throw DeviceError(std::string("cannot make shared memory: ") + std::strerror(errno));
  }
  mapping_ = SharedMapping(file_.get(), static_cast<std::size_t>(limit_));
}

std::byte* SharedArena::allocate(Bytes bytes) {
  const std::lock_guard lock(mutex_);
  const std::int64_t size = (bytes.count() + kPage - 1) / kPage * kPage;
  if (used_ + size > limit_) {
    throw InfeasibleError(
        fmt::format("{} bytes of shared memory are wanted, {} are left", size, limit_ - used_));
  }
  return mapping_.start() + std::exchange(used_, used_ + size);
}

Bytes SharedArena::left() const {
  const std::lock_guard lock(mutex_);
  return Bytes(limit_ - used_);
}

std::string SharedArena::ticket() const {
  return fmt::format("/proc/{}/fd/{}", getpid(), file_.get());
}

SharedMapping map_arena(const std::string& ticket) {
  const FileDescriptor file(open(ticket.c_str(), O_RDWR | O_CLOEXEC));
  const off_t bytes = file.is_open() ? lseek(file.get(), 0, SEEK_END) : -1;
  if (bytes <= 0) {
    throw DeviceError(
        fmt::format("cannot see a peer's memory at {}: {}", ticket, std::strerror(errno)));
  }
  return SharedMapping(file.get(), static_cast<std::size_t>(bytes));
}

}  // namespace moeshift
