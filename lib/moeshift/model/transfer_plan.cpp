// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/transfer_plan.hpp"

#include <algorithm>
#include <array>
#include <numeric>
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

/// The largest expert of each round, added up; of the two classes of ports the longer.
Bytes round_bytes(const TransferPlan& plan, std::size_t layer, const Wave& wave) {
  std::array<std::vector<Bytes>, 2> rounds;  // inside nodes, between them
  for (const Transfer& t : wave.transfers) {
    std::vector<Bytes>& lengths = rounds[t.link == LinkClass::kIntraNode ? 0 : 1];
    lengths.resize(std::max(lengths.size(), t.round + std::size_t{1}));
    lengths[t.round] = std::max(lengths[t.round], plan.size_of(layer, t.expert));
  }
  Bytes most;
  for (const std::vector<Bytes>& lengths : rounds) {
    most = std::max(most, std::accumulate(lengths.begin(), lengths.end(), Bytes(0)));
  }
  return most;
}

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
  round_bytes += other.round_bytes;
  for (std::size_t i = 0; i < kLinkClasses; ++i) {
    transfers_by_link[i] += other.transfers_by_link[i];
    bytes_by_link[i] += other.bytes_by_link[i];
  }
  return *this;
}

TransferTotals totals_of(const TransferPlan& plan, std::size_t layer) {
  TransferTotals totals;
  const auto local = static_cast<std::size_t>(LinkClass::kLocal);
  const auto copy = [&](const LocalCopy& c) {
    ++totals.local_copies;
    totals.bytes_by_link[local] += plan.size_of(layer, c.expert);
  };
  for (const Wave& wave : plan.layers[layer].waves) {
    for (const Transfer& transfer : wave.transfers) {
      const auto link = static_cast<std::size_t>(transfer.link);
      ++totals.transfers;
      ++totals.transfers_by_link[link];
      totals.bytes_by_link[link] += plan.size_of(layer, transfer.expert);
    }
    totals.rounds += wave.rounds();
    totals.round_bytes += round_bytes(plan, layer, wave);
    for (const LocalCopy& c : wave.stage_copies) copy(c);
    for (const LocalCopy& c : wave.commit_copies) {
      if (c.from.kind == Place::Kind::kLive) copy(c);
    }
  }
  totals.transfers_by_link[local] = totals.local_copies;
  return totals;
}

void add_staging_bytes(const Wave& wave, const ExpertSizes& sizes, LayerId layer,
                       IdVector<RankId, Bytes>& used) {
  for (const LocalCopy& copy : wave.stage_copies) used[copy.rank] += sizes(layer, copy.expert);
  for (const Transfer& t : wave.transfers) {
    if (t.to.kind == Place::Kind::kStaging) used[t.destination] += sizes(layer, t.expert);
  }
}

IdVector<RankId, Bytes> staging_bytes(const TransferPlan& plan) {
  IdVector<RankId, Bytes> most(plan.ranks);
  for (const LayerBatch& batch : plan.batches) {
    bool any = true;
    for (std::size_t number = 0; any; ++number) {
      any = false;
      IdVector<RankId, Bytes> used(plan.ranks);
      for (std::size_t i = batch.first; i < batch.first + batch.count; ++i) {
        if (number >= plan.layers[i].waves.size()) continue;
        any = true;
        add_staging_bytes(plan.layers[i].waves[number], plan.sizes, LayerId(i), used);
      }
      for (const RankId rank : most.ids()) most[rank] = std::max(most[rank], used[rank]);
    }
  }
  return most;
}

TransferTotals totals_of(const TransferPlan& plan) {
  TransferTotals totals;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) totals += totals_of(plan, i);
  return totals;
}

std::string content_hash(const TransferPlan& plan) {
  NumberHash hash;
  hash << plan.ranks << plan.experts << plan.old_slots_per_rank << plan.new_slots_per_rank
       << plan.old_ranks << plan.new_ranks
       << static_cast<std::uint64_t>(plan.sizes.largest().count()) << plan.messages_per_expert
       << static_cast<std::uint64_t>(plan.chunk_bytes.count());
  for (std::size_t i = 0; !plan.sizes.uniform() && i < plan.layers.size(); ++i) {
    for (const ExpertId expert : all_ids<ExpertId>(plan.experts)) {
      hash << static_cast<std::uint64_t>(plan.size_of(i, expert).count());
    }
  }
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
