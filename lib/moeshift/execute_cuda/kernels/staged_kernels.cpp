// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/kernels/staged_kernels.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/host/host_pattern.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

namespace moeshift {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{1} << 20U;
constexpr std::uint64_t kWord = sizeof(std::uint64_t);

/// Pinned memory through which bytes pass piece by piece, one at a time.
class Passage {
 public:
  Passage(const DeviceRuntime& runtime, DeviceStream stream, std::uint64_t bytes)
      : runtime_(runtime),
        stream_(stream),
        buffer_(allocate_pinned(runtime, Bytes(static_cast<std::int64_t>(
                                             std::clamp<std::uint64_t>(bytes, 1, kPiece))))),
        passed_(make_event(runtime)) {}
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  /// The stream still reads or writes the buffer if the last piece was never asked for.
  ~Passage() {
    if (!busy_) return;
    try {
      runtime_.synchronize(stream_);
    } catch (const DeviceError&) {
      // Nothing runs on a stream that has failed.
    }
  }

  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(buffer_.get()); }
  void send(std::byte* to, std::uint64_t bytes) {
    runtime_.copy(to, data(), bytes, CopyKind::kToDevice, stream_);
    mark();
  }
  void fetch(const std::byte* from, std::uint64_t bytes) {
    runtime_.copy(data(), from, bytes, CopyKind::kToHost, stream_);
    mark();
  }
  /// True when the last piece is through.
  [[nodiscard]] bool free() {
    if (busy_ && !runtime_.passed(passed_.get())) return false;
    busy_ = false;
    return true;
  }

 private:
  void mark() {
    runtime_.record(passed_.get(), stream_);
    busy_ = true;
  }

  const DeviceRuntime& runtime_;
  DeviceStream stream_;
  PinnedBuffer buffer_;
  Event passed_;
  bool busy_ = false;
};

std::uint64_t largest_of(const std::vector<PatternRegion>& regions) {
  std::uint64_t largest = 0;
  for (const PatternRegion& region : regions) largest = std::max(largest, region.bytes);
  return largest;
}

/// Where a walk over all pieces of all regions is.
struct Place {
  std::size_t region = 0;
  std::uint64_t offset = 0;

  [[nodiscard]] std::uint64_t piece_of(const std::vector<PatternRegion>& regions) const {
    return std::min(kPiece, regions[region].bytes - offset);
  }
  void step(const std::vector<PatternRegion>& regions) {
    offset += piece_of(regions);
    if (offset < regions[region].bytes) return;
    offset = 0;
    ++region;
  }
};

class StagedFill final : public Pending {
 public:
  StagedFill(const DeviceRuntime& runtime, std::vector<PatternRegion> regions, DeviceStream stream)
      : regions_(std::move(regions)), passage_(runtime, stream, largest_of(regions_)) {}

  [[nodiscard]] bool poll() override {
    if (!passage_.free()) return false;
    if (place_.region == regions_.size()) return true;
    const PatternRegion& region = regions_[place_.region];
    const std::uint64_t bytes = place_.piece_of(regions_);
    write_pattern(passage_.data(), region.key, place_.offset / kWord, bytes / kWord);
    passage_.send(region.data + place_.offset, bytes);
    place_.step(regions_);
    return false;
  }

 private:
  std::vector<PatternRegion> regions_;
  Passage passage_;
  Place place_;
};

class StagedCheck final : public RegionCheck {
 public:
  StagedCheck(const DeviceRuntime& runtime, std::vector<PatternRegion> regions, DeviceStream stream)
      : regions_(std::move(regions)),
        passage_(runtime, stream, largest_of(regions_)),
        found_(regions_.size()) {}

  [[nodiscard]] bool poll() override {
    if (!passage_.free()) return false;
    if (fetching_) compare();
    if (place_.region == regions_.size()) return true;
    passage_.fetch(regions_[place_.region].data + place_.offset, place_.piece_of(regions_));
    fetching_ = true;
    return false;
  }
  [[nodiscard]] std::span<const PatternMismatch> found() const override { return found_; }

 private:
  void compare() {
    const PatternRegion& region = regions_[place_.region];
    const moeshift::PatternCheck check = check_pattern(
        passage_.data(), region.key, place_.offset / kWord, place_.piece_of(regions_) / kWord);
    PatternMismatch& found = found_[place_.region];
    if (check.wrong_bytes > 0) {
      found.first_offset = std::min(found.first_offset, place_.offset + check.first_offset);
      found.bytes += check.wrong_bytes;
    }
    place_.step(regions_);
    fetching_ = false;
  }

  std::vector<PatternRegion> regions_;
  Passage passage_;
  Place place_;
  bool fetching_ = false;
  std::vector<PatternMismatch> found_;
};

}  // namespace

void StagedKernels::copy(std::span<const CopyRequest> copies, unsigned /*blocks*/,
                         DeviceStream stream) const {
  for (const CopyRequest& item : copies) {
    runtime_.copy(item.to, item.from, static_cast<std::size_t>(item.bytes.count()),
                  CopyKind::kWithin, stream);
  }
}

std::unique_ptr<Pending> StagedKernels::fill(std::vector<PatternRegion> regions,
                                             DeviceStream stream) const {
  return std::make_unique<StagedFill>(runtime_, std::move(regions), stream);
}

std::unique_ptr<RegionCheck> StagedKernels::verify(std::vector<PatternRegion> regions,
                                                   DeviceStream stream) const {
  return std::make_unique<StagedCheck>(runtime_, std::move(regions), stream);
}

std::shared_ptr<const void> StagedKernels::point(std::byte** table,
                                                 std::span<const PointerChange> changes,
                                                 DeviceStream stream) const {
  const std::size_t bytes = std::max<std::size_t>(changes.size(), 1) * sizeof(std::byte*);
  auto held = std::make_shared<PinnedBuffer>(
      allocate_pinned(runtime_, Bytes(static_cast<std::int64_t>(bytes))));
  auto* const entries = static_cast<std::byte**>(held->get());
  for (std::size_t i = 0; i < changes.size(); ++i) {
    entries[i] = changes[i].target;
    runtime_.copy(table + changes[i].index, entries + i, sizeof(std::byte*), CopyKind::kToDevice,
                  stream);
  }
  return held;
}

}  // namespace moeshift
