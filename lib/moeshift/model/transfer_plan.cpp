// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/transfer_plan.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "moeshift/core/sha256.hpp"

namespace moeshift {
namespace {

/// Feeds whole numbers to the hash in a fixed width and order.
class NumberHash {
 public:
  NumberHash& operator<<(std::uint64_t number) {
    hash_.update(std::as_bytes(std::span<const std::uint64_t>(&number, 1)));
    return *this;
  }
  NumberHash& operator<<(Place place) {
    return *this << static_cast<std::uint64_t>(place.kind) << place.index;
  }
  NumberHash& operator<<(const LocalCopy& copy) {
    return *this << copy.rank.value() << copy.expert.value() << copy.from << copy.to;
  }
  NumberHash& operator<<(const Transfer& t) {
    return *this << t.expert.value() << t.source.value() << t.from << t.destination.value() << t.to
                 << static_cast<std::uint64_t>(t.link) << t.round;
  }
  template <class T>
  NumberHash& operator<<(const std::vector<T>& items) {
    *this << items.size();
    for (const T& item : items) *this << item;
    return *this;
  }
  [[nodiscard]] std::string hex() { return hash_.hex(); }

 private:
  Sha256 hash_;
};

}  // namespace

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
    std::set<std::uint32_t> rounds;
    for (const Transfer& transfer : wave.transfers) {
      const auto link = static_cast<std::size_t>(transfer.link);
      ++totals.transfers;
      ++totals.transfers_by_link[link];
      totals.bytes_by_link[link] += expert_bytes;
      rounds.insert(transfer.round);
    }
    totals.rounds += rounds.size();
    totals.local_copies += wave.stage_copies.size();
    totals.bytes_by_link[local] +=
        expert_bytes * static_cast<std::int64_t>(wave.stage_copies.size());
  }
  totals.transfers_by_link[local] = totals.local_copies;
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
       << plan.old_ranks << plan.new_ranks << static_cast<std::uint64_t>(plan.expert_bytes.count());
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
