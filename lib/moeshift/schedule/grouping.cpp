// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/grouping.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using Buffers = IdVector<RankId, std::uint32_t>;

/// What every port sends and receives, in rounds between nodes; the larger of the two classes.
class PortLoad {
 public:
  PortLoad(std::size_t ranks, double ratio) : ratio_(ratio), loads_(4 * ranks, 0) {}

  void add(const LayerMoves& layer) {
    for (const Wave& wave : layer.waves) {
      for (const Transfer& t : wave.transfers) {
        const bool inside = t.link == LinkClass::kIntraNode;
        const double round = inside ? 1 / ratio_ : 1;
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

void add(Buffers& sum, const Buffers& more) {
  for (const RankId rank : sum.ids()) sum[rank] += more[rank];
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
        used_(plan.ranks, 0) {}

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
    load_.add(plan_.layers[layer]);
    used_ = buffers_[layer];
    changed_ = plan_.layers[layer].waves.size();
    closed_ = batch.count > 1 || plan_.layers[layer].waves.size() > 1;
  }

  bool join(std::size_t layer) {
    const std::size_t waves = plan_.layers[layer].waves.size();
    if (limits_.rounds <= 0 || closed_ || waves > 1) return false;
    if (limits_.layers > 0 && changed_ + waves > limits_.layers) return false;
    PortLoad load = load_;
    load.add(plan_.layers[layer]);
    Buffers used = used_;
    add(used, buffers_[layer]);
    if (load.most() > limits_.rounds) return false;
    if (limits_.buffers && *std::max_element(used.begin(), used.end()) > *limits_.buffers) {
      return false;
    }
    renumber(plan_.layers[layer], used_);
    load_ = std::move(load);
    used_ = std::move(used);
    changed_ += waves;
    ++plan_.batches.back().count;
    return true;
  }

  TransferPlan& plan_;
  const std::vector<Buffers>& buffers_;
  const JoinLimits& limits_;
  PortLoad load_;
  Buffers used_;
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
