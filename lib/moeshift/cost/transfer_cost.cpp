// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/transfer_cost.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "moeshift/cost/group_cost.hpp"
#include "moeshift/cost/stage_pipeline.hpp"

namespace moeshift {
namespace {

/// Copies of one rank follow each other; ranks work side by side, unless they share something.
Seconds price_copies(std::span<const LocalCopy> copies, const TransferPlan& plan, std::size_t layer,
                     const Topology& topology, const Cluster& cluster) {
  IdVector<RankId, Traffic> per_rank(plan.ranks);
  IdVector<NodeId, Bytes> per_node(topology.nodes());
  for (const LocalCopy& copy : copies) {
    const Bytes bytes = plan.size_of(layer, copy.expert);
    ++per_rank[copy.rank].experts;
    per_rank[copy.rank].bytes += bytes;
    per_node[topology.node_of(copy.rank)] += bytes;
  }
  Seconds busiest;
  for (const Traffic& rank : per_rank) {
    busiest = std::max(busiest, cluster.local_copy_latency * static_cast<double>(rank.experts) +
                                    rank.bytes / cluster.local_copy);
  }
  if (!cluster.node_copy) return busiest;
  const Bytes most = *std::max_element(per_node.begin(), per_node.end());
  return std::max(busiest, most / *cluster.node_copy);
}

/// Group g of a wave: a run of its transfers.
std::span<const Transfer> group_of(const Wave& wave, std::uint32_t group) {
  const auto by_group = [](const Transfer& t, std::uint32_t g) { return t.group < g; };
  const auto first =
      std::lower_bound(wave.transfers.begin(), wave.transfers.end(), group, by_group);
  const auto last = std::lower_bound(first, wave.transfers.end(), group + 1, by_group);
  return {first, last};
}

/// The layers of one batch, exchanged together, committed one after another.
class BatchCost {
 public:
  BatchCost(const TransferPlan& plan, const Topology& topology, const Cluster& cluster,
            Seconds per_layer, GroupPricer& pricer)
      : plan_(plan),
        topology_(topology),
        cluster_(cluster),
        per_layer_(per_layer),
        pricer_(pricer) {}

  std::vector<LayerCost> price(const LayerBatch& batch) {
    first_ = batch.first;
    const std::span<const LayerMoves> layers =
        std::span(plan_.layers).subspan(batch.first, batch.count);
    std::vector<LayerCost> costs(batch.count);
    std::size_t waves = 0;
    for (const LayerMoves& layer : layers) waves = std::max(waves, layer.waves.size());
    for (std::size_t wave = 0; wave < waves; ++wave) add_wave(layers, wave, costs);
    return costs;
  }

 private:
  [[nodiscard]] Seconds copies(std::span<const LocalCopy> copies, std::size_t i) const {
    return price_copies(copies, plan_, first_ + i, topology_, cluster_);
  }

  [[nodiscard]] Bytes bytes_of(const Wave& wave, std::size_t i) const {
    Bytes sum;
    for (const Transfer& t : wave.transfers) sum += plan_.size_of(first_ + i, t.expert);
    return sum;
  }

  void add_wave(std::span<const LayerMoves> layers, std::size_t wave,
                std::vector<LayerCost>& costs) {
    std::size_t groups = 0;
    Bytes sent;
    bool voted = false;  // once for the batch
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (wave >= layers[i].waves.size()) continue;
      const Wave& moves = layers[i].waves[wave];
      groups = std::max(groups, moves.groups());
      sent += bytes_of(moves, i);
      if (wave == 0) costs[i].stage += per_layer_;
      costs[i].stage += copies(moves.stage_copies, i);
      if (!voted) costs[i].vote += cluster_.fixed.vote;
      voted = true;
      costs[i].commit += cluster_.fixed.commit + copies(moves.commit_copies, i);
    }
    Seconds exchange;
    for (std::uint32_t group = 0; group < groups; ++group) {
      for (std::size_t i = 0; i < layers.size(); ++i) {
        if (wave >= layers[i].waves.size()) continue;
        pricer_.add(first_ + i, group_of(layers[i].waves[wave], group));
      }
      exchange += pricer_.finish();
    }
    if (sent.count() == 0) return;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (wave >= layers[i].waves.size()) continue;
      costs[i].stage += exchange * ratio(bytes_of(layers[i].waves[wave], i), sent);
    }
  }

  const TransferPlan& plan_;
  const Topology& topology_;
  const Cluster& cluster_;
  Seconds per_layer_;
  GroupPricer& pricer_;
  std::size_t first_ = 0;  ///< layer of the batch
};

/// Every rank connects its pairs one after another; ranks work side by side.
Seconds price_connections(const TransferPlan& plan, const Cluster& cluster) {
  std::set<std::pair<RankId, RankId>> pairs;
  for (const LayerMoves& layer : plan.layers) {
    for (const Wave& wave : layer.waves) {
      for (const Transfer& t : wave.transfers) pairs.emplace(std::minmax(t.source, t.destination));
    }
  }
  IdVector<RankId, std::int64_t> peers(plan.ranks, 0);
  std::int64_t most = 0;
  for (const auto& [a, b] : pairs) most = std::max({most, ++peers[a], ++peers[b]});
  return cluster.fixed.connection * static_cast<double>(most);
}

/// Wall time of staging and committing batch after batch.
Seconds pipeline(const TransferPlan& plan, std::span<const LayerCost> layers,
                 std::size_t in_flight) {
  StagePipeline line(in_flight);
  for (const LayerBatch& batch : plan.batches) {
    Seconds stage;
    Seconds commit;
    for (const LayerCost& layer : layers.subspan(batch.first, batch.count)) {
      stage += layer.stage;
      commit += layer.vote + layer.commit;
    }
    line.add(stage, commit);
  }
  return line.end();
}

}  // namespace

SoftwareCosts python_engine(Seconds plan) {
  return {plan, Seconds(7.5e-3), Seconds(70e-6)};
}

TransferCost price(const TransferPlan& plan, const Topology& topology, const Cluster& cluster,
                   const CostOptions& options) {
  GroupPricer pricer(plan, topology, cluster, options.background_share,
                     options.software.per_operation);
  BatchCost batch_cost(plan, topology, cluster, options.software.per_layer, pricer);
  TransferCost cost;
  for (const LayerBatch& batch : plan.batches) {
    for (const LayerCost& layer : batch_cost.price(batch)) {
      cost.stage += layer.stage;
      cost.commit += layer.commit;
      cost.layers.push_back(layer);
    }
  }
  cost.connection = price_connections(plan, cluster);
  cost.plan = options.software.plan;
  cost.in_flight = cluster.node_copy ? 1 : std::max<std::size_t>(options.buffers, 1);
  cost.total = cost.plan + cost.connection + pipeline(plan, cost.layers, cost.in_flight);
  cost.exposed = options.synchronous ? cost.total : cost.commit;
  return cost;
}

}  // namespace moeshift
