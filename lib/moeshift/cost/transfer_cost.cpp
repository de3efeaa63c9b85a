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
Seconds price_copies(std::span<const LocalCopy> copies, const TransferPlan& plan,
                     const Topology& topology, const Cluster& cluster) {
  IdVector<RankId, std::int64_t> per_rank(plan.ranks, 0);
  IdVector<NodeId, std::int64_t> per_node(topology.nodes(), 0);
  std::int64_t most = 0;
  std::int64_t most_of_node = 0;
  for (const LocalCopy& copy : copies) {
    most = std::max(most, ++per_rank[copy.rank]);
    most_of_node = std::max(most_of_node, ++per_node[topology.node_of(copy.rank)]);
  }
  const Seconds one = cluster.local_copy_latency + plan.expert_bytes / cluster.local_copy;
  const Seconds busiest = one * static_cast<double>(most);
  if (!cluster.node_copy) return busiest;
  return std::max(busiest, plan.expert_bytes * most_of_node / *cluster.node_copy);
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
    const std::span<const LayerMoves> layers =
        std::span(plan_.layers).subspan(batch.first, batch.count);
    std::vector<LayerCost> costs(batch.count);
    std::size_t waves = 0;
    for (const LayerMoves& layer : layers) waves = std::max(waves, layer.waves.size());
    for (std::size_t wave = 0; wave < waves; ++wave) add_wave(layers, wave, costs);
    return costs;
  }

 private:
  void add_wave(std::span<const LayerMoves> layers, std::size_t wave,
                std::vector<LayerCost>& costs) {
    std::size_t groups = 0;
    std::size_t transfers = 0;
    bool voted = false;  // once for the batch
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (wave >= layers[i].waves.size()) continue;
      const Wave& moves = layers[i].waves[wave];
      groups = std::max(groups, moves.groups());
      transfers += moves.transfers.size();
      if (wave == 0) costs[i].stage += per_layer_;
      costs[i].stage += price_copies(moves.stage_copies, plan_, topology_, cluster_);
      if (!voted) costs[i].vote += cluster_.fixed.vote;
      voted = true;
      costs[i].commit +=
          cluster_.fixed.commit + price_copies(moves.commit_copies, plan_, topology_, cluster_);
    }
    Seconds exchange;
    for (std::uint32_t group = 0; group < groups; ++group) {
      for (const LayerMoves& layer : layers) {
        if (wave < layer.waves.size()) pricer_.add(group_of(layer.waves[wave], group));
      }
      exchange += pricer_.finish();
    }
    if (transfers == 0) return;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (wave >= layers[i].waves.size()) continue;
      const auto own = static_cast<double>(layers[i].waves[wave].transfers.size());
      costs[i].stage += exchange * (own / static_cast<double>(transfers));
    }
  }

  const TransferPlan& plan_;
  const Topology& topology_;
  const Cluster& cluster_;
  Seconds per_layer_;
  GroupPricer& pricer_;
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
