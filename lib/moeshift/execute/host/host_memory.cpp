// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/host/host_memory.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <sys/mman.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/host/host_pattern.hpp"

namespace moeshift {
namespace {

// One poll does at most this much: long enough to run at full speed, short enough that a step
// boundary or a failure is noticed at once.
constexpr std::int64_t kPiece = std::int64_t{4} << 20;

class CopyWork final : public Pending {
 public:
  explicit CopyWork(std::span<const CopyRequest> copies) : copies_(copies.begin(), copies.end()) {}

  bool poll() override {
    std::int64_t budget = kPiece;
    while (next_ < copies_.size() && budget > 0) {
      const CopyRequest& copy = copies_[next_];
      const std::int64_t bytes = std::min(budget, copy.bytes.count() - done_);
      std::memcpy(copy.to + done_, copy.from + done_, static_cast<std::size_t>(bytes));
      budget -= bytes;
      done_ += bytes;
      if (done_ < copy.bytes.count()) break;
      ++next_;
      done_ = 0;
    }
    return next_ == copies_.size();
  }

 private:
  std::vector<CopyRequest> copies_;
  std::size_t next_ = 0;
  std::int64_t done_ = 0;
};

/// Walks over the words of all tensors of all tasks, a piece at a time.
class PatternWalk {
 public:
  struct Run {
    std::size_t task = 0;
    std::byte* start = nullptr;
    std::uint64_t slot_offset = 0;
    std::uint64_t key = 0;
    std::uint64_t first = 0;
    std::uint64_t count = 0;

    [[nodiscard]] std::int64_t bytes() const { return static_cast<std::int64_t>(count) * 8; }
  };

  PatternWalk(std::span<const PatternTask> tasks, SlotLayout layout)
      : tasks_(tasks.begin(), tasks.end()), layout_(std::move(layout)) {}

  [[nodiscard]] bool finished() const { return task_ == tasks_.size() || layout_.tensors.empty(); }

  /// At most `limit` bytes of one tensor of one slot; at least a word.
  Run next(std::int64_t limit) {
    const PatternTask& task = tasks_[task_];
    const TensorRange& tensor = layout_.tensors[tensor_];
    const auto words = static_cast<std::uint64_t>(tensor.bytes.count()) / 8;
    const std::uint64_t most = static_cast<std::uint64_t>(std::max<std::int64_t>(limit, 8)) / 8;
    const std::uint64_t count = std::min(words - word_, most);
    const auto offset = static_cast<std::uint64_t>(tensor.offset.count()) + word_ * 8;
    Run run{.task = task_,
            .start = task.slot + offset,
            .slot_offset = offset,
            .key = tensor_key(task.key.seed, task.key.layer.value(), task.key.expert.value(),
                              static_cast<std::uint32_t>(tensor_)),
            .first = word_,
            .count = count};
    word_ += count;
    if (word_ == words) next_tensor();
    return run;
  }

 private:
  void next_tensor() {
    word_ = 0;
    if (++tensor_ < layout_.tensors.size()) return;
    tensor_ = 0;
    ++task_;
  }

  std::vector<PatternTask> tasks_;
  SlotLayout layout_;
  std::size_t task_ = 0;
  std::size_t tensor_ = 0;
  std::uint64_t word_ = 0;
};

class FillWork final : public Pending {
 public:
  FillWork(std::span<const PatternTask> tasks, const SlotLayout& layout) : walk_(tasks, layout) {}

  bool poll() override {
    for (std::int64_t budget = kPiece; budget > 0 && !walk_.finished();) {
      const PatternWalk::Run run = walk_.next(budget);
      write_pattern(run.start, run.key, run.first, run.count);
      budget -= run.bytes();
    }
    return walk_.finished();
  }

 private:
  PatternWalk walk_;
};

class VerifyWork final : public Verification {
 public:
  VerifyWork(std::span<const PatternTask> tasks, const SlotLayout& layout) : walk_(tasks, layout) {}

  bool poll() override {
    for (std::int64_t budget = kPiece; budget > 0 && !walk_.finished();) {
      const PatternWalk::Run run = walk_.next(budget);
      const PatternCheck check = check_pattern(run.start, run.key, run.first, run.count);
      if (check.wrong_bytes > 0) add(run, check);
      budget -= run.bytes();
    }
    return walk_.finished();
  }

  std::vector<Mismatch> mismatches() override { return std::move(found_); }

 private:
  void add(const PatternWalk::Run& run, const PatternCheck& check) {
    if (found_.empty() || found_.back().task != run.task) {
      found_.push_back({run.task, 0, run.slot_offset + check.first_offset});
    }
    found_.back().wrong_bytes += check.wrong_bytes;
  }

  PatternWalk walk_;
  std::vector<Mismatch> found_;
};

/// What was kept instead of filled anew.
class ExpectWork final : public Pending {
 public:
  ExpectWork(std::span<const PatternTask> tasks, const SlotLayout& layout)
      : tasks_(tasks.begin(), tasks.end()), compare_(tasks, layout) {}

  bool poll() override {
    if (!compare_.poll()) return false;
    const std::vector<Mismatch> wrong = compare_.mismatches();
    if (wrong.empty()) return true;
    const PatternKey& key = tasks_[wrong.front().task].key;
    throw DeviceError(fmt::format(
        "the memory that was kept differs from what the journal says: layer {}, expert {}, {} "
        "bytes of it, and {} more slots",
        key.layer.value(), key.expert.value(), wrong.front().wrong_bytes, wrong.size() - 1));
  }

 private:
  std::vector<PatternTask> tasks_;
  VerifyWork compare_;
};

/// When it is polled: copies of the lane whose work was polled before are in place then.
class PointWork final : public Pending {
 public:
  PointWork(std::byte** entries, std::span<const PointerChange> changes)
      : entries_(entries), changes_(changes.begin(), changes.end()) {}

  bool poll() override {
    for (const PointerChange& change : changes_) entries_[change.index] = change.target;
    changes_.clear();
    return true;
  }

 private:
  std::byte** entries_;
  std::vector<PointerChange> changes_;
};

class PoisonWork final : public Pending {
 public:
  PoisonWork(std::byte* start, Bytes bytes) : start_(start), left_(bytes.count()) {}

  bool poll() override {
    const std::int64_t bytes = std::min(left_, kPiece);
    if (bytes > 0) std::memset(start_, 0xEE, static_cast<std::size_t>(bytes));
    start_ += bytes;
    left_ -= bytes;
    return left_ == 0;
  }

 private:
  std::byte* start_;
  std::int64_t left_;
};

}  // namespace

HostArena::~HostArena() {
  for (const Mapping& mapping : mappings_) munmap(mapping.start, mapping.bytes);
}

std::byte* HostArena::allocate(Bytes bytes) {
  const std::lock_guard lock(mutex_);
  if (used_ + bytes > limit_) {
    throw InfeasibleError(fmt::format("{} bytes of host memory are wanted, {} are left",
                                      bytes.count(), (limit_ - used_).count()));
  }
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(bytes.count(), 1));
  void* start = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) {
    throw InfeasibleError(fmt::format("the system refused {} bytes of memory", bytes.count()));
  }
  madvise(start, size, MADV_HUGEPAGE);
  used_ += bytes;
  mappings_.push_back({start, size});
  return static_cast<std::byte*>(start);
}

Bytes HostArena::left() const {
  const std::lock_guard lock(mutex_);
  return limit_ - used_;
}

std::optional<Bytes> HostMemory::available() const {
  return arena_->left() / static_cast<std::int64_t>(sharers_);
}

std::byte* HostMemory::allocate(Bytes bytes) {
  return arena_->allocate(bytes);
}

std::unique_ptr<Pending> HostMemory::copy(std::span<const CopyRequest> copies, CopyLane) {
  return std::make_unique<CopyWork>(copies);
}

std::unique_ptr<Pending> HostMemory::point(std::byte* table, std::span<const PointerChange> changes,
                                           ModelStream /*stream*/) {
  return std::make_unique<PointWork>(reinterpret_cast<std::byte**>(table), changes);
}

std::vector<std::byte*> HostMemory::pointers(const std::byte* table, std::size_t first,
                                             std::size_t count) {
  auto* const entries = reinterpret_cast<std::byte* const*>(table) + first;
  return {entries, entries + count};
}

std::unique_ptr<Pending> HostMemory::fill(std::span<const PatternTask> tasks,
                                          const SlotLayout& layout) {
  if (arena_->kept()) return std::make_unique<ExpectWork>(tasks, layout);
  return std::make_unique<FillWork>(tasks, layout);
}

std::unique_ptr<Verification> HostMemory::verify(std::span<const PatternTask> tasks,
                                                 const SlotLayout& layout) {
  return std::make_unique<VerifyWork>(tasks, layout);
}

std::unique_ptr<Pending> HostMemory::poison(std::byte* start, Bytes bytes) {
  return std::make_unique<PoisonWork>(start, arena_->kept() ? Bytes(0) : bytes);
}

void HostMemory::corrupt(std::byte* byte) {
  *byte = ~*byte;
}

}  // namespace moeshift
