// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/grouping.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using Buffers = IdVector<RankId, std::uint32_t>;

/// What every port sends and receives, in bytes between nodes; the larger of the two classes.
class PortLoad {
 public:
  PortLoad(std::size_t ranks, double ratio) : ratio_(ratio), loads_(4 * ranks, 0) {}

  void add(const TransferPlan& plan, std::size_t layer) {
    for (const Wave& wave : plan.layers[layer].waves) {
      for (const Transfer& t : wave.transfers) {
        const bool inside = t.link == LinkClass::kIntraNode;
        const auto bytes = static_cast<double>(plan.size_of(layer, t.expert).count());
        const double round = inside ? bytes / ratio_ : bytes;
        const std::size_t ports = inside ? 0 : loads_.size() / 2;
        for (const std::size_t port :
             {ports + 2 * t.source.index(), ports + 2 * t.destination.index() + 1}) {
          most_ = std::max(most_, loads_[port] += round);
        }
      }
    }
  }
  [[nodiscard]] double most() const { return most_; }

 private:
  double ratio_;
  std::vector<double> loads_;  ///< [class][rank][out, in]
  double most_ = 0;
};

using Staging = IdVector<RankId, Bytes>;

template <class Figures>
void add(Figures& sum, const Figures& more) {
  for (const RankId rank : sum.ids()) sum[rank] += more[rank];
}

/// What a layer of one wave stages on its own.
Staging staging_of(const TransferPlan& plan, std::size_t layer) {
  Staging used(plan.ranks);
  for (const Wave& wave : plan.layers[layer].waves) {
    add_staging_bytes(wave, plan.sizes, LayerId(layer), used);
  }
  return used;
}

/// Moves the buffers of a layer behind those that its batch uses already.
void renumber(LayerMoves& layer, const Buffers& used) {
  const auto shift = [&](Place& place, RankId rank) {
    if (place.kind == Place::Kind::kStaging) place.index += used[rank];
  };
  for (Wave& wave : layer.waves) {
    for (auto* copies : {&wave.stage_copies, &wave.commit_copies}) {
      for (LocalCopy& copy : *copies) {
        shift(copy.from, copy.rank);
        shift(copy.to, copy.rank);
      }
    }
    for (Transfer& t : wave.transfers) {
      shift(t.from, t.source);
      shift(t.to, t.destination);
    }
  }
}

/// Grows batches from the first one on; one of several layers or waves stays as it is.
class Joiner {
 public:
  Joiner(TransferPlan& plan, const std::vector<Buffers>& buffers, const JoinLimits& limits)
      : plan_(plan),
        buffers_(buffers),
        limits_(limits),
        load_(plan.ranks, limits.inter_round_per_intra_round),
        used_(plan.ranks, 0),
        staged_(plan.ranks) {}

  void run() {
    const std::vector<LayerBatch> before = std::exchange(plan_.batches, {});
    for (const LayerBatch& batch : before) {
      if (batch.count > 1 || plan_.batches.empty() || !join(batch.first)) open(batch);
      for (const RankId rank : used_.ids()) {
        plan_.staging_slots[rank] = std::max(plan_.staging_slots[rank], used_[rank]);
      }
    }
  }

 private:
  void open(const LayerBatch& batch) {
    const std::size_t layer = batch.first;
    plan_.batches.push_back(batch);
    load_ = PortLoad(plan_.ranks, limits_.inter_round_per_intra_round);
    load_.add(plan_, layer);
    used_ = buffers_[layer];
    staged_ = staging_of(plan_, layer);
    changed_ = plan_.layers[layer].waves.size();
    closed_ = batch.count > 1 || plan_.layers[layer].waves.size() > 1;
  }

  bool join(std::size_t layer) {
    const std::size_t waves = plan_.layers[layer].waves.size();
    if (limits_.port.count() <= 0 || closed_ || waves > 1) return false;
    if (limits_.layers > 0 && changed_ + waves > limits_.layers) return false;
    PortLoad load = load_;
    load.add(plan_, layer);
    Staging staged = staged_;
    add(staged, staging_of(plan_, layer));
    if (load.most() > static_cast<double>(limits_.port.count())) return false;
    if (limits_.staging && *std::max_element(staged.begin(), staged.end()) > *limits_.staging) {
      return false;
    }
    renumber(plan_.layers[layer], used_);
    load_ = std::move(load);
    add(used_, buffers_[layer]);
    staged_ = std::move(staged);
    changed_ += waves;
    ++plan_.batches.back().count;
    return true;
  }

  TransferPlan& plan_;
  const std::vector<Buffers>& buffers_;
  const JoinLimits& limits_;
  PortLoad load_;
  Buffers used_;
  Staging staged_;
  std::size_t changed_ = 0;
  bool closed_ = false;  ///< several layers that were joined before, or one in several waves
};

/// (group, between nodes, round) of a transfer: what is cut, and where.
using RoundKey = std::tuple<std::uint32_t, bool, std::uint32_t>;

RoundKey key_of(const Transfer& t) {
  return {t.group, t.link != LinkClass::kIntraNode, t.round};
}

/// Wave number `wave` of all layers of a batch.
std::vector<Wave*> waves_of(TransferPlan& plan, const LayerBatch& batch, std::size_t wave) {
  std::vector<Wave*> waves;
  for (LayerMoves& layer : std::span(plan.layers).subspan(batch.first, batch.count)) {
    if (wave < layer.waves.size()) waves.push_back(&layer.waves[wave]);
  }
  return waves;
}

/// Numbers the groups of one wave of a batch anew.
void cut_wave(const std::vector<Wave*>& waves, std::size_t experts) {
  std::map<RoundKey, std::vector<std::pair<RankId, RankId>>> rounds;
  for (const Wave* wave : waves) {
    for (const Transfer& t : wave->transfers)
      rounds[key_of(t)].emplace_back(t.source, t.destination);
  }
  std::map<RoundKey, std::uint32_t> piece_of;     // within its old group
  std::map<std::uint32_t, std::uint32_t> pieces;  // of each old group
  std::map<std::pair<RankId, RankId>, std::size_t> in_piece;
  std::uint32_t piece = 0;
  const RoundKey* before = nullptr;
  for (const auto& [key, pairs] : rounds) {
    const bool same = before != nullptr && std::get<0>(*before) == std::get<0>(key) &&
                      std::get<1>(*before) == std::get<1>(key);
    if (!same) piece = 0;
    if (!same) in_piece.clear();
    for (const auto& pair : pairs) ++in_piece[pair];
    const bool full = std::any_of(in_piece.begin(), in_piece.end(),
                                  [&](const auto& entry) { return entry.second > experts; });
    if (full) {
      ++piece;
      in_piece.clear();
      for (const auto& pair : pairs) ++in_piece[pair];
    }
    piece_of[key] = piece;
    pieces[std::get<0>(key)] = std::max(pieces[std::get<0>(key)], piece + 1);
    before = &key;
  }
  std::map<std::uint32_t, std::uint32_t> first;  // new number of each old group
  std::uint32_t next = 0;
  for (const auto& [group, count] : pieces) {
    first[group] = next;
    next += count;
  }
  for (Wave* wave : waves) {
    for (Transfer& t : wave->transfers) {
      const std::uint32_t piece_of_round = piece_of[key_of(t)];
      t.group = first[t.group] + piece_of_round;
    }
    std::sort(wave->transfers.begin(), wave->transfers.end(),
              [](const Transfer& a, const Transfer& b) {
                return std::tie(a.group, a.round, a.source, a.destination, a.expert) <
                       std::tie(b.group, b.round, b.source, b.destination, b.expert);
              });
  }
}

}  // namespace

std::size_t messages_per_pair(std::size_t channels) {
  MOESHIFT_CHECK(channels > 0);
  constexpr std::size_t kRecords = 254;
  const std::size_t rest = kRecords - std::min(kRecords, channels);
  return std::max<std::size_t>(1, std::min(200 / channels, rest / channels));
}

void join_layers(TransferPlan& plan, const std::vector<Buffers>& buffers,
                 const JoinLimits& limits) {
  Joiner(plan, buffers, limits).run();
}

Bytes most_staged(const TransferPlan& plan) {
  Staging all(plan.ranks);
  for (std::size_t layer = 0; layer < plan.layers.size(); ++layer) {
    add(all, staging_of(plan, layer));
  }
  return all.size() == 0 ? Bytes(0) : *std::max_element(all.begin(), all.end());
}

void cut_groups(TransferPlan& plan, std::size_t experts) {
  MOESHIFT_CHECK(experts > 0);
  for (const LayerBatch& batch : plan.batches) {
    for (std::size_t wave = 0;; ++wave) {
      const std::vector<Wave*> waves = waves_of(plan, batch, wave);
      if (waves.empty()) break;
      cut_wave(waves, experts);
    }
  }
}

}  // namespace moeshift
