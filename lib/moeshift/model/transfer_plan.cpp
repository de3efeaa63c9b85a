// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/transfer_plan.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "moeshift/core/sha256.hpp"

namespace moeshift {
namespace {

/// Collects numbers as 32-bit words in a fixed order and hashes them at once.
class NumberHash {
 public:
  NumberHash& operator<<(std::uint32_t word) {
    words_.push_back(word);
    return *this;
  }
  NumberHash& operator<<(std::uint64_t number) {
    return *this << static_cast<std::uint32_t>(number) << static_cast<std::uint32_t>(number >> 32U);
  }
  NumberHash& operator<<(Place place) {
    return *this << static_cast<std::uint32_t>(place.kind) << place.index;
  }
  NumberHash& operator<<(const LocalCopy& copy) {
    return *this << copy.rank.value() << copy.expert.value() << copy.from << copy.to;
  }
  NumberHash& operator<<(const Transfer& t) {
    return *this << t.expert.value() << t.source.value() << t.from << t.destination.value() << t.to
                 << static_cast<std::uint32_t>(t.link) << t.round << t.group;
  }
  template <class T>
  NumberHash& operator<<(const std::vector<T>& items) {
    *this << items.size();
    for (const T& item : items) *this << item;
    return *this;
  }
  [[nodiscard]] std::string hex() const {
    Sha256 hash;
    hash.update(std::as_bytes(std::span<const std::uint32_t>(words_)));
    return hash.hex();
  }

 private:
  std::vector<std::uint32_t> words_;
};

}  // namespace

std::size_t Wave::groups() const {
  return transfers.empty() ? 0 : transfers.back().group + std::size_t{1};
}

std::size_t Wave::rounds() const {
  std::size_t count = 0;
  for (const Transfer& t : transfers) count = std::max(count, t.round + std::size_t{1});
  return count;
}

TransferTotals& TransferTotals::operator+=(const TransferTotals& other) {
  local_copies += other.local_copies;
  transfers += other.transfers;
  rounds += other.rounds;
  for (std::size_t i = 0; i < kLinkClasses; ++i) {
    transfers_by_link[i] += other.transfers_by_link[i];
    bytes_by_link[i] += other.bytes_by_link[i];
  }
  return *this;
}

TransferTotals totals_of(const LayerMoves& layer, Bytes expert_bytes) {
  TransferTotals totals;
  const auto local = static_cast<std::size_t>(LinkClass::kLocal);
  for (const Wave& wave : layer.waves) {
    for (const Transfer& transfer : wave.transfers) {
      const auto link = static_cast<std::size_t>(transfer.link);
      ++totals.transfers;
      ++totals.transfers_by_link[link];
      totals.bytes_by_link[link] += expert_bytes;
    }
    totals.rounds += wave.rounds();
    totals.local_copies += wave.stage_copies.size();
    totals.local_copies += static_cast<std::size_t>(
        std::count_if(wave.commit_copies.begin(), wave.commit_copies.end(),
                      [](const LocalCopy& c) { return c.from.kind == Place::Kind::kLive; }));
  }
  totals.transfers_by_link[local] = totals.local_copies;
  totals.bytes_by_link[local] = expert_bytes * static_cast<std::int64_t>(totals.local_copies);
  return totals;
}

TransferTotals totals_of(const TransferPlan& plan) {
  TransferTotals totals;
  for (const LayerMoves& layer : plan.layers) totals += totals_of(layer, plan.expert_bytes);
  return totals;
}

std::string content_hash(const TransferPlan& plan) {
  NumberHash hash;
  hash << plan.ranks << plan.experts << plan.old_slots_per_rank << plan.new_slots_per_rank
       << plan.old_ranks << plan.new_ranks << static_cast<std::uint64_t>(plan.expert_bytes.count())
       << plan.messages_per_expert << static_cast<std::uint64_t>(plan.chunk_bytes.count());
  for (const LayerMoves& layer : plan.layers) {
    hash << layer.layer.value() << layer.waves.size();
    for (const Wave& wave : layer.waves) {
      hash << wave.stage_copies << wave.transfers << wave.commit_copies;
    }
  }
  for (const LayerBatch& batch : plan.batches) hash << batch.first << batch.count;
  for (const std::uint32_t slots : plan.staging_slots) hash << slots;
  return hash.hex();
}

}  // namespace moeshift
