// SPDX-License-Identifier: Apache-2.0
// A model of every rank's memory: slots and buffers that hold the names of experts. Executing a
// transfer plan on it proves the plan right or says what is wrong.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift::test {

class SymbolicMemory {
 public:
  SymbolicMemory(const Placement& old, const TransferPlan& plan, std::set<RankId> dead = {})
      : plan_(plan) {
    const std::size_t slots = std::max(plan.old_slots_per_rank, plan.new_slots_per_rank);
    live_.assign(plan.layers.size(), {});
    for (std::size_t layer = 0; layer < plan.layers.size(); ++layer) {
      live_[layer].assign(plan.ranks, std::vector<ExpertId>(slots, ExpertId::none()));
      for (const RankId rank : all_ids<RankId>(old.ranks())) {
        if (dead.count(rank) != 0) continue;
        const auto held = old.rank_slots(LayerId(layer), rank);
        std::copy(held.begin(), held.end(), live_[layer][rank].begin());
      }
    }
  }

  /// Peers send and receive several messages per port and round.
  void let_ports_be_shared() { ports_shared_ = true; }

  /// Performs the plan. @return "" or the first thing that went wrong.
  std::string run() {
    for (const LayerBatch& batch : plan_.batches) {
      staging_.assign(plan_.ranks, {});
      for (const RankId rank : staging_.ids()) {
        staging_[rank].assign(plan_.staging_slots[rank], ExpertId::none());
      }
      std::size_t waves = 0;
      for (std::size_t i = 0; i < batch.count; ++i) {
        waves = std::max(waves, plan_.layers[batch.first + i].waves.size());
      }
      for (std::size_t wave = 0; wave < waves && fault_.empty(); ++wave) run_wave(batch, wave);
    }
    return fault_;
  }

  /// "" when every slot that `next` fills holds its expert.
  [[nodiscard]] std::string compare(const Placement& next) const {
    for (const LayerId layer : all_ids<LayerId>(next.layers())) {
      for (const SlotId slot : all_ids<SlotId>(next.slots())) {
        const ExpertId wanted = next(layer, slot);
        const RankId rank = next.rank_of(slot);
        const std::size_t own = slot.index() - next.first_slot(rank).index();
        if (wanted.is_none() || live_[layer.index()][rank][own] == wanted) continue;
        return fmt::format("layer {} slot {} should hold expert {}, holds {}", layer.value(),
                           slot.value(), wanted.value(), live_[layer.index()][rank][own].value());
      }
    }
    return "";
  }

 private:
  using Where = std::tuple<std::size_t, RankId, Place>;  ///< layer (0 for staging), rank, place

  const Wave* wave_of(std::size_t layer, std::size_t wave) const {
    const auto& waves = plan_.layers[layer].waves;
    return wave < waves.size() ? &waves[wave] : nullptr;
  }

  void run_wave(const LayerBatch& batch, std::size_t wave) {
    std::size_t groups = 0;
    for (std::size_t layer = batch.first; layer < batch.first + batch.count; ++layer) {
      const Wave* moves = wave_of(layer, wave);
      if (moves == nullptr) continue;
      groups = std::max(groups, moves->groups());
      for (const LocalCopy& copy : moves->stage_copies) perform(layer, copy);
    }
    for (std::uint32_t group = 0; group < groups; ++group) run_group(batch, wave, group);
    for (std::size_t layer = batch.first; layer < batch.first + batch.count; ++layer) {
      const Wave* moves = wave_of(layer, wave);
      if (moves == nullptr) continue;
      for (const LocalCopy& copy : moves->commit_copies) perform(layer, copy);
    }
  }

  /// The transfers of a group run in any order: none may touch what another one writes.
  void run_group(const LayerBatch& batch, std::size_t wave, std::uint32_t group) {
    std::set<Where> written;
    std::set<Where> read;
    std::set<std::tuple<bool, std::uint32_t, RankId>> sending;
    std::set<std::tuple<bool, std::uint32_t, RankId>> receiving;
    for (std::size_t layer = batch.first; layer < batch.first + batch.count; ++layer) {
      const Wave* moves = wave_of(layer, wave);
      if (moves == nullptr) continue;
      sending.clear();
      receiving.clear();
      for (const Transfer& t : moves->transfers) {
        if (t.group != group) continue;
        const bool inside = t.link == LinkClass::kIntraNode;
        const bool free = sending.emplace(inside, t.round, t.source).second &&
                          receiving.emplace(inside, t.round, t.destination).second;
        if (!free && !ports_shared_) {
          fail(fmt::format("layer {} round {}: a port is used twice", layer, t.round));
        }
        read.insert(where(layer, t.source, t.from));
        if (!written.insert(where(layer, t.destination, t.to)).second) {
          fail(fmt::format("layer {}: two transfers of a group write one place", layer));
        }
        if (at(layer, t.source, t.from) != t.expert) {
          fail(fmt::format("layer {} round {}: rank {} should send expert {}, has {}", layer,
                           t.round, t.source.value(), t.expert.value(),
                           at(layer, t.source, t.from).value()));
        }
        at(layer, t.destination, t.to) = t.expert;
      }
    }
    for (const Where& place : written) {
      if (read.count(place) != 0) fail("a group reads what it writes");
    }
  }

  static Where where(std::size_t layer, RankId rank, Place place) {
    return {place.kind == Place::Kind::kStaging ? 0 : layer, rank, place};
  }

  void perform(std::size_t layer, const LocalCopy& copy) {
    if (at(layer, copy.rank, copy.from) != copy.expert) {
      fail(fmt::format("layer {}: rank {} copies expert {} from a place that holds {}", layer,
                       copy.rank.value(), copy.expert.value(),
                       at(layer, copy.rank, copy.from).value()));
    }
    at(layer, copy.rank, copy.to) = copy.expert;
  }

  ExpertId& at(std::size_t layer, RankId rank, Place place) {
    auto& places = place.kind == Place::Kind::kLive ? live_[layer][rank] : staging_[rank];
    if (place.index < places.size()) return places[place.index];
    fail(fmt::format("rank {} has no {} {}", rank.value(),
                     place.kind == Place::Kind::kLive ? "slot" : "buffer", place.index));
    return nowhere_;
  }

  void fail(std::string what) {
    if (fault_.empty()) fault_ = std::move(what);
  }

  const TransferPlan& plan_;
  std::vector<IdVector<RankId, std::vector<ExpertId>>> live_;  ///< [layers][ranks][slots]
  IdVector<RankId, std::vector<ExpertId>> staging_;            ///< [ranks][buffers]
  bool ports_shared_ = false;
  ExpertId nowhere_ = ExpertId::none();
  std::string fault_;
};

}  // namespace moeshift::test
