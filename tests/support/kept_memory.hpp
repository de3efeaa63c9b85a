// SPDX-License-Identifier: Apache-2.0
// Ranks whose memory outlives the run: what a resumed run believes is compared with the bytes that
// the run before it has left.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/forwarding_memory.hpp"

namespace moeshift::test {

/// The blocks of all ranks, in the order in which each took them.
class KeptBlocks {
 public:
  /// The rank's k-th block: as it was left, or new.
  std::byte* take(RankId rank, std::size_t k, Bytes bytes, bool& kept) {
    const std::lock_guard lock(mutex_);
    std::vector<std::byte>& block = blocks_[{rank, k}];
    kept = !block.empty();
    if (!kept) block.resize(static_cast<std::size_t>(bytes.count()));
    // Staging shrinks as less is left to do; the live area, which is taken first, never changes.
    MOESHIFT_CHECK(k > 0 || block.size() == static_cast<std::size_t>(bytes.count()));
    if (block.size() < static_cast<std::size_t>(bytes.count())) {
      block.resize(static_cast<std::size_t>(bytes.count()));
    }
    return block.data();
  }
  void note(std::uint64_t differences) {
    const std::lock_guard lock(mutex_);
    differences_ += differences;
  }
  /// Bytes that were not as the resumed run believed.
  [[nodiscard]] std::uint64_t differences() const { return differences_; }

 private:
  std::mutex mutex_;
  std::map<std::pair<RankId, std::size_t>, std::vector<std::byte>> blocks_;
  std::uint64_t differences_ = 0;
};

/// Fills memory the first time, and compares it ever after.
class KeptMemory final : public ForwardingMemory {
 public:
  KeptMemory(std::unique_ptr<DeviceMemory> inner, KeptBlocks& blocks, RankId rank)
      : ForwardingMemory(std::move(inner)), blocks_(blocks), rank_(rank) {}

  std::byte* allocate(Bytes bytes) override {
    bool kept = false;
    std::byte* start = blocks_.take(rank_, taken_, bytes, kept);
    if (taken_++ == 0) kept_ = kept;
    return start;
  }
  std::unique_ptr<Pending> fill(std::span<const PatternTask> tasks,
                                const SlotLayout& layout) override {
    if (!kept_) return inner().fill(tasks, layout);
    const auto found = inner().verify(tasks, layout);
    while (!found->poll()) {
    }
    for (const Mismatch& mismatch : found->mismatches()) blocks_.note(mismatch.wrong_bytes);
    return std::make_unique<Done>();
  }
  std::unique_ptr<Pending> poison(std::byte* start, Bytes bytes) override {
    if (!kept_) return inner().poison(start, bytes);
    return std::make_unique<Done>();
  }

 private:
  class Done final : public Pending {
   public:
    bool poll() override { return true; }
  };

  KeptBlocks& blocks_;
  RankId rank_;
  std::size_t taken_ = 0;
  bool kept_ = false;
};

class KeptWorld final : public World {
 public:
  KeptWorld(std::unique_ptr<World> world, KeptBlocks& blocks)
      : world_(std::move(world)), blocks_(blocks) {}

  [[nodiscard]] std::size_t size() const override { return world_->size(); }
  [[nodiscard]] std::span<const RankId> local_ranks() const override {
    return world_->local_ranks();
  }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override {
    Member member = world_->join(rank, deadline);
    member.memory = std::make_unique<KeptMemory>(std::move(member.memory), blocks_, rank);
    return member;
  }

 private:
  std::unique_ptr<World> world_;
  KeptBlocks& blocks_;
};

}  // namespace moeshift::test
