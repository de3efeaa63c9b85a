// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/from_plan.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kStageStream = 0;
constexpr std::uint32_t kCommitStream = 1;
constexpr std::uint32_t kExperts = 0;  ///< communicator
constexpr std::uint32_t kVote = 1;

/// What is staged and voted on together: a batch, or one wave of its only layer.
struct Unit {
  std::size_t first = 0;
  std::size_t count = 1;
  std::size_t wave = 0;
  bool follows_wave = false;  ///< reads what the unit before commits
};

std::vector<Unit> units_of(const TransferPlan& plan) {
  std::vector<Unit> units;
  for (const LayerBatch& batch : plan.batches) {
    std::size_t waves = 0;
    for (std::size_t i = batch.first; i < batch.first + batch.count; ++i) {
      waves = std::max(waves, plan.layers[i].waves.size());
    }
    for (std::size_t wave = 0; wave < waves; ++wave) {
      units.push_back({batch.first, batch.count, wave, wave > 0});
    }
  }
  return units;
}

class Lister {
 public:
  Lister(const TransferPlan& plan, const OrderOptions& options)
      : plan_(plan), options_(options), units_(units_of(plan)) {
    MOESHIFT_CHECK(options.buffers > 0);
    lists_.of_rank.assign(plan.ranks, {});
    std::vector<RankId> all;
    for (const RankId rank : all_ids<RankId>(plan.ranks)) all.push_back(rank);
    for (const LayerMoves& layer : plan.layers) lists_.layer_numbers.push_back(layer.layer.value());
    lists_.streams = {"stage"};
    lists_.communicators = {{"experts", all, true}};
    if (!options.votes) return;
    lists_.streams.emplace_back("commit");
    lists_.communicators.push_back({"vote", all, false});
    for (std::size_t u = 0; u < units_.size(); ++u) {
      lists_.events.push_back("staged " + std::to_string(u));
      lists_.events.push_back("live " + std::to_string(u));
    }
  }

  OperationLists list() {
    for (std::size_t u = 0; u < units_.size(); ++u) add_unit(u);
    lists_.votes = options_.votes && !lands_live();
    lists_.staging_bytes = staging_bytes(plan_);
    for (Bytes& bytes : lists_.staging_bytes) {
      bytes = bytes * static_cast<std::int64_t>(std::min(options_.buffers, units_.size()));
    }
    return std::move(lists_);
  }

 private:
  [[nodiscard]] bool lands_live() const {
    for (const LayerMoves& layer : plan_.layers) {
      for (const Wave& wave : layer.waves) {
        for (const Transfer& t : wave.transfers) {
          if (t.to.kind == Place::Kind::kLive) return true;
        }
      }
    }
    return false;
  }

  void add_unit(std::size_t u) {
    const Unit& unit = units_[u];
    if (!plan_.sizes.uniform()) lay_out(unit);
    if (options_.votes) begin_staging(u);
    for_each_layer(unit, [&](std::size_t layer, const Wave& wave) {
      for (const LocalCopy& copy : wave.stage_copies) add_copy(u, layer, copy, kStageStream);
    });
    add_groups(u);
    if (options_.votes) vote(u);
    const std::uint32_t stream = options_.votes ? kCommitStream : kStageStream;
    for_each_layer(unit, [&](std::size_t layer, const Wave& wave) {
      for (const LocalCopy& copy : wave.commit_copies) add_copy(u, layer, copy, stream);
    });
    if (options_.votes) go_live(u);
  }

  template <class Body>
  void for_each_layer(const Unit& unit, Body body) const {
    for (std::size_t i = unit.first; i < unit.first + unit.count; ++i) {
      const auto& waves = plan_.layers[i].waves;
      if (unit.wave < waves.size()) body(i, waves[unit.wave]);
    }
  }

  void add_to_all(const Unit& unit, Operation operation) {
    operation.layer = LayerId(unit.first);
    operation.wave = static_cast<std::uint32_t>(unit.wave);
    for (auto& list : lists_.of_rank) list.push_back(operation);
  }

  static Operation event(OperationKind kind, std::uint32_t stream, std::size_t event) {
    Operation operation;
    operation.kind = kind;
    operation.stream = stream;
    operation.event = static_cast<std::uint32_t>(event);
    return operation;
  }

  /// A buffer set is free once what lay in it is live; a wave begins once the one before is live
  /// everywhere.
  void begin_staging(std::size_t u) {
    const Unit& unit = units_[u];
    if (u >= options_.buffers) {
      add_to_all(unit, event(OperationKind::kWait, kStageStream, 2 * (u - options_.buffers) + 1));
    }
    if (unit.follows_wave) {
      add_to_all(unit, event(OperationKind::kWait, kStageStream, 2 * (u - 1) + 1));
    }
  }

  void vote(std::size_t u) {
    const Unit& unit = units_[u];
    add_to_all(unit, event(OperationKind::kRecord, kStageStream, 2 * u));
    add_to_all(unit, event(OperationKind::kWait, kCommitStream, 2 * u));
    add_to_all(unit, meeting());
  }

  void go_live(std::size_t u) {
    const bool followed = u + 1 < units_.size() && units_[u + 1].follows_wave;
    if (followed) add_to_all(units_[u], meeting());
    add_to_all(units_[u], event(OperationKind::kRecord, kCommitStream, 2 * u + 1));
  }

  static Operation meeting() {
    Operation operation;
    operation.kind = OperationKind::kMeeting;
    operation.stream = kCommitStream;
    operation.communicator = kVote;
    return operation;
  }

  /// Where experts differ in size, a set of buffers is one block, laid out anew for every unit: a
  /// buffer is as large as what lands in it.
  void lay_out(const Unit& unit) {
    offsets_.assign(plan_.ranks, {});
    for_each_layer(unit, [&](std::size_t layer, const Wave& wave) {
      const auto lands = [&](RankId rank, Place place, ExpertId expert) {
        if (place.kind != Place::Kind::kStaging) return;
        Bytes& size = offsets_[rank][place.index];
        size = std::max(size, plan_.size_of(layer, expert));
      };
      for (const LocalCopy& copy : wave.stage_copies) lands(copy.rank, copy.to, copy.expert);
      for (const Transfer& t : wave.transfers) lands(t.destination, t.to, t.expert);
    });
    for (auto& buffers : offsets_) {
      Bytes next;
      for (auto& [buffer, bytes] : buffers) next += std::exchange(bytes, next);
    }
  }

  [[nodiscard]] Region region(std::size_t u, std::size_t layer, RankId rank, Place place,
                              ExpertId expert) const {
    const Bytes size = plan_.size_of(layer, expert);
    if (place.kind == Place::Kind::kLive) return {place, LayerId(layer), Bytes(0), size};
    const auto set = static_cast<std::uint32_t>(u % options_.buffers);
    if (plan_.sizes.uniform()) {
      place.index += set * plan_.staging_slots[rank];
      return {place, LayerId(layer), Bytes(0), size};
    }
    return {{place.kind, set}, LayerId(layer), offsets_[rank].at(place.index), size};
  }

  void add_copy(std::size_t u, std::size_t layer, const LocalCopy& copy, std::uint32_t stream) {
    Operation operation;
    operation.kind = OperationKind::kCopy;
    operation.stream = stream;
    operation.layer = LayerId(layer);
    operation.wave = static_cast<std::uint32_t>(units_[u].wave);
    operation.from = region(u, layer, copy.rank, copy.from, copy.expert);
    operation.to = region(u, layer, copy.rank, copy.to, copy.expert);
    lists_.of_rank[copy.rank].push_back(std::move(operation));
  }

  /// A call per group, and more where a call is bounded; ranks that have no part in one leave it
  /// out.
  void add_groups(std::size_t u) {
    const Unit& unit = units_[u];
    std::map<std::uint32_t, std::vector<std::pair<std::size_t, const Transfer*>>> groups;
    for_each_layer(unit, [&](std::size_t layer, const Wave& wave) {
      for (const Transfer& t : wave.transfers) groups[t.group].emplace_back(layer, &t);
    });
    for (const auto& [group, transfers] : groups) {
      std::vector<std::map<RankId, Operation>> calls;
      std::map<std::pair<RankId, RankId>, std::size_t> messages;
      for (const auto& [layer, transfer] : transfers) {
        std::size_t& count = messages[{transfer->source, transfer->destination}];
        add_messages(u, layer, *transfer, count, calls);
      }
      for (auto& call : calls) {
        for (auto& [rank, operation] : call) {
          lists_.of_rank[rank].push_back(std::move(operation));
        }
      }
    }
  }

  void add_messages(std::size_t u, std::size_t layer, const Transfer& transfer, std::size_t& count,
                    std::vector<std::map<RankId, Operation>>& calls) const {
    const Region from = region(u, layer, transfer.source, transfer.from, transfer.expert);
    const Region to = region(u, layer, transfer.destination, transfer.to, transfer.expert);
    for (const auto& [offset, bytes] : parts_of(from.bytes)) {
      const std::size_t most = options_.messages_per_call;
      const std::size_t call = most == 0 ? 0 : count / most;
      ++count;
      if (calls.size() <= call) calls.resize(call + 1);
      const auto at = [&](RankId rank) -> Operation& {
        const auto [found, fresh] = calls[call].try_emplace(rank);
        Operation& operation = found->second;
        if (!fresh) return operation;
        operation.kind = OperationKind::kExchange;
        operation.stream = kStageStream;
        operation.communicator = kExperts;
        operation.layer = LayerId(layer);
        operation.wave = static_cast<std::uint32_t>(units_[u].wave);
        return operation;
      };
      at(transfer.source).sends.push_back({transfer.destination, part_of(from, offset, bytes)});
      at(transfer.destination).receives.push_back({transfer.source, part_of(to, offset, bytes)});
    }
  }

  static Region part_of(const Region& expert, Bytes offset, Bytes bytes) {
    return {expert.place, expert.layer, expert.offset + offset, bytes};
  }

  /// Where the messages of an expert begin, and how long they are.
  [[nodiscard]] std::vector<std::pair<Bytes, Bytes>> parts_of(Bytes expert) const {
    std::size_t parts = plan_.messages_per_expert;
    std::int64_t chunk = plan_.chunk_bytes.count();
    std::vector<std::pair<Bytes, Bytes>> result;
    if (parts <= 1 && (chunk == 0 || parts == 1 || chunk >= expert.count())) {
      return {{Bytes(0), expert}};
    }
    if (parts == 0) {
      for (std::int64_t at = 0; at < expert.count(); at += chunk) {
        result.emplace_back(Bytes(at), Bytes(std::min(chunk, expert.count() - at)));
      }
      return result;
    }
    const bool stated = options_.tensors.size() == parts;
    std::int64_t total = 0;
    for (std::size_t i = 0; i < parts; ++i) total += stated ? options_.tensors[i].count() : 1;
    std::int64_t before = 0;
    for (std::size_t i = 0; i < parts; ++i) {
      const auto share = [&](std::int64_t weight) {
        return static_cast<std::int64_t>(static_cast<double>(expert.count()) *
                                         static_cast<double>(weight) / static_cast<double>(total));
      };
      const std::int64_t begin = share(before);
      before += stated ? options_.tensors[i].count() : 1;
      const std::int64_t end = i + 1 == parts ? expert.count() : share(before);
      if (end > begin) result.emplace_back(Bytes(begin), Bytes(end - begin));
    }
    return result;
  }

  const TransferPlan& plan_;
  const OrderOptions& options_;
  std::vector<Unit> units_;
  /// [ranks] where each buffer begins in its set; used where experts differ in size.
  IdVector<RankId, std::map<std::uint32_t, Bytes>> offsets_;
  OperationLists lists_;
};

}  // namespace

OperationLists operations_of(const TransferPlan& plan, const OrderOptions& options) {
  return Lister(plan, options).list();
}

}  // namespace moeshift
