// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/host/shared_arena.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kPage = 4096;
/// Its size is for good.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

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
    : limit_(std::max(limit.count(), kPage)),
      file_(memfd_create("moeshift", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
  if (!file_.is_open() || ftruncate(file_.get(), limit_) != 0 ||
      fcntl(file_.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0) {
    throw DeviceError(std::string("cannot make shared memory: ") + std::strerror(errno));
  }
  mapping_ = SharedMapping(file_.get(), static_cast<std::size_t>(limit_));
}

SharedArena::SharedArena(Bytes limit, const std::string& image)
    : limit_(std::max(limit.count(), kPage)),
      image_(true),
      file_(open(image.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
  struct stat status{};
  if (!file_.is_open() || fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw InputError(image, std::string("cannot keep memory here: ") + std::strerror(errno));
  }
  kept_ = status.st_size > 0;
  limit_ = std::max<std::int64_t>(limit_, status.st_size);
  if (ftruncate(file_.get(), limit_) != 0) {
    throw InputError(image, std::string("cannot keep memory here: ") + std::strerror(errno));
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

std::shared_ptr<SharedArena> arena_in_image(Bytes limit, const std::string& folder, RankId rank) {
  return std::make_shared<SharedArena>(limit,
                                       fmt::format("{}/rank-{}.memory", folder, rank.value()));
}

SharedMapping map_arena(const FileDescriptor& file, std::size_t least, bool images) {
  struct stat status{};
  const bool regular = fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
  const bool large = regular && static_cast<std::size_t>(status.st_size) >= least;
  const int seals = fcntl(file.get(), F_GET_SEALS);
  const bool firm = images || (seals >= 0 && (seals & kSeals) == kSeals);
  if (!large || !firm) throw DeviceError("what a peer handed over is no memory to share");
  return SharedMapping(file.get(), static_cast<std::size_t>(status.st_size));
}

}  // namespace moeshift
