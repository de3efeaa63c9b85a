// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/transfer_cost.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "moeshift/cost/group_cost.hpp"
#include "moeshift/cost/stage_pipeline.hpp"

namespace moeshift {
namespace {

/// Copies that go out together. Those of one rank follow each other; ranks work side by side,
/// unless they share something.
class CopyPricer {
 public:
  CopyPricer(const TransferPlan& plan, const Topology& topology, const Cluster& cluster)
      : plan_(plan),
        topology_(topology),
        cluster_(cluster),
        ranks_(plan.ranks),
        nodes_(topology.nodes()) {}

  /// @return the bytes that were added.
  Bytes add(std::span<const LocalCopy> copies, std::size_t layer) {
    Bytes sum;
    for (const LocalCopy& copy : copies) {
      const Bytes bytes = plan_.size_of(layer, copy.expert);
      count(copy.rank, bytes);
      sum += bytes;
    }
    return sum;
  }

  /// Experts that are gathered at their source to be sent.
  void add(std::span<const Transfer> transfers, std::size_t layer) {
    for (const Transfer& transfer : transfers) {
      count(transfer.source, plan_.size_of(layer, transfer.expert));
    }
  }

  /// What the rank copies that copies most.
  [[nodiscard]] Bytes most() const {
    return std::ranges::max_element(ranks_, {}, &Traffic::bytes)->bytes;
  }

  /// The time of all that was added.
  [[nodiscard]] Seconds finish() const {
    const double power = cluster_.engine ? cluster_.engine->copy_power : 1;
    Seconds busiest;
    for (const Traffic& rank : ranks_) {
      const double copies = std::pow(static_cast<double>(rank.experts), power);
      busiest = std::max(busiest,
                         cluster_.local_copy_latency * copies + rank.bytes / cluster_.local_copy);
    }
    if (!cluster_.node_copy) return busiest;
    const Bytes most = *std::max_element(nodes_.begin(), nodes_.end());
    return std::max(busiest, most / *cluster_.node_copy);
  }

 private:
  void count(RankId rank, Bytes bytes) {
    ++ranks_[rank].experts;
    ranks_[rank].bytes += bytes;
    nodes_[topology_.node_of(rank)] += bytes;
  }

  const TransferPlan& plan_;
  const Topology& topology_;
  const Cluster& cluster_;
  IdVector<RankId, Traffic> ranks_;
  IdVector<NodeId, Bytes> nodes_;
};

/// Copies that a rank makes one after the other because one reads, or overwrites, what another one
/// writes: how many launches its commit takes. O(copies * log).
std::size_t passes_of(std::span<const LocalCopy> copies) {
  const auto from_slot = [](const LocalCopy& copy) { return copy.from.kind == Place::Kind::kLive; };
  if (std::ranges::none_of(copies, from_slot)) return 1;
  std::map<std::pair<RankId, Place>, std::size_t> written;
  std::map<std::pair<RankId, Place>, std::size_t> read;
  std::size_t most = 1;
  for (const LocalCopy& copy : copies) {
    const std::pair from(copy.rank, copy.from);
    const std::pair to(copy.rank, copy.to);
    const std::size_t pass = std::max({written[from], written[to], read[to]}) + 1;
    written[to] = pass;
    read[from] = std::max(read[from], pass);
    most = std::max(most, pass);
  }
  return most;
}

/// Group g of a wave: a run of its transfers.
std::span<const Transfer> group_of(const Wave& wave, std::uint32_t group) {
  const auto by_group = [](const Transfer& t, std::uint32_t g) { return t.group < g; };
  const auto first =
      std::lower_bound(wave.transfers.begin(), wave.transfers.end(), group, by_group);
  const auto last = std::lower_bound(first, wave.transfers.end(), group + 1, by_group);
  return {first, last};
}

/// What layers do together is shared out by their bytes.
void share_out(Seconds time, const std::vector<Bytes>& bytes, std::vector<LayerCost>& costs,
               Seconds LayerCost::* part) {
  Bytes sum;
  for (const Bytes of_layer : bytes) sum += of_layer;
  if (sum.count() == 0) return;
  for (std::size_t i = 0; i < bytes.size(); ++i) costs[i].*part += time * ratio(bytes[i], sum);
}

/// The layers of one batch, exchanged together, committed one after another.
class BatchCost {
 public:
  BatchCost(const TransferPlan& plan, const Topology& topology, const Cluster& cluster,
            const CostOptions& options, GroupPricer& pricer)
      : plan_(plan),
        topology_(topology),
        cluster_(cluster),
        per_layer_(options.software.per_layer),
        flips_(options.flips),
        one_by_one_(options.buffers <= 1),
        pricer_(pricer) {}

  std::vector<LayerCost> price(const LayerBatch& batch) {
    first_ = batch.first;
    idle_ |= one_by_one_;
    const std::span<const LayerMoves> layers =
        std::span(plan_.layers).subspan(batch.first, batch.count);
    std::vector<LayerCost> costs(batch.count);
    std::size_t waves = 0;
    for (const LayerMoves& layer : layers) waves = std::max(waves, layer.waves.size());
    for (std::size_t wave = 0; wave < waves; ++wave) add_wave(layers, wave, costs);
    idle_ &= waves == 0;
    return costs;
  }

 private:
  [[nodiscard]] Bytes bytes_of(const Wave& wave, std::size_t i) const {
    Bytes sum;
    for (const Transfer& t : wave.transfers) sum += plan_.size_of(first_ + i, t.expert);
    return sum;
  }

  [[nodiscard]] bool gathers() const {
    return cluster_.engine && cluster_.engine->gather_first.count() > 0 &&
           plan_.messages_per_expert == 0 && plan_.sizes.largest() < cluster_.engine->pack_below;
  }

  /// Where nothing travels only the first part, the others beside it; else all, beside the batch
  /// before.
  [[nodiscard]] Seconds time_to_gather(const CopyPricer& all) const {
    if (!gathers()) return {};
    const Bytes first = cluster_.engine->gather_first;
    const bool cut = idle_ && all.most() >= first * 2;
    return all.finish() * (cut ? ratio(first, all.most()) : 1.0);
  }

  void add_wave(std::span<const LayerMoves> layers, std::size_t wave,
                std::vector<LayerCost>& costs) {
    std::size_t groups = 0;
    std::vector<Bytes> sent(layers.size());
    bool voted = false;  // once for the batch
    std::size_t passes = 0;
    CopyPricer stage(plan_, topology_, cluster_);
    CopyPricer commit(plan_, topology_, cluster_);
    CopyPricer gather(plan_, topology_, cluster_);
    std::vector<Bytes> staged(layers.size());
    std::vector<Bytes> committed(layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (wave >= layers[i].waves.size()) continue;
      const Wave& moves = layers[i].waves[wave];
      groups = std::max(groups, moves.groups());
      sent[i] = bytes_of(moves, i);
      if (gathers()) gather.add(moves.transfers, first_ + i);
      if (wave == 0) costs[i].stage += per_layer_;
      staged[i] = stage.add(moves.stage_copies, first_ + i);
      if (!voted) costs[i].vote += cluster_.fixed.vote;
      voted = true;
      // The same pass of all layers is one launch: a layer pays for what it adds.
      const std::size_t needed =
          std::max(passes, flips_ ? std::size_t{1} : passes_of(moves.commit_copies));
      costs[i].commit += cluster_.fixed.commit * static_cast<double>(needed - passes);
      passes = needed;
      if (!flips_) committed[i] = commit.add(moves.commit_copies, first_ + i);
    }
    share_out(stage.finish(), staged, costs, &LayerCost::stage);
    share_out(commit.finish(), committed, costs, &LayerCost::commit);
    Seconds exchange;
    Seconds launch;
    for (std::uint32_t group = 0; group < groups; ++group) {
      for (std::size_t i = 0; i < layers.size(); ++i) {
        if (wave >= layers[i].waves.size()) continue;
        pricer_.add(first_ + i, group_of(layers[i].waves[wave], group));
      }
      const Seconds taken = pricer_.finish();
      exchange += taken;
      launch += std::min(taken, cluster_.fixed.launch);
    }
    const Seconds gathered = time_to_gather(gather);
    share_out(exchange + gathered, sent, costs, &LayerCost::stage);
    share_out(gathered, sent, costs, &LayerCost::gather);
    share_out(launch, sent, costs, &LayerCost::launch);
  }

  const TransferPlan& plan_;
  const Topology& topology_;
  const Cluster& cluster_;
  Seconds per_layer_;
  bool flips_;
  bool one_by_one_;
  bool idle_ = true;  ///< nothing is on the wires when the batch begins
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

/// Of each batch, in order; a batch without moves is left out.
std::vector<LayerCost> batches_of(const TransferPlan& plan, std::span<const LayerCost> layers) {
  std::vector<LayerCost> batches;
  for (const LayerBatch& batch : plan.batches) {
    LayerCost sum{};
    bool moves = false;
    for (std::size_t i = batch.first; i < batch.first + batch.count; ++i) {
      moves |= !plan.layers[i].waves.empty();
      sum.stage += layers[i].stage;
      sum.launch += layers[i].launch;
      sum.gather += layers[i].gather;
      sum.vote += layers[i].vote;
      sum.commit += layers[i].commit;
    }
    if (moves) batches.push_back(sum);
  }
  return batches;
}

/// Wall time of staging and committing batch after batch.
Seconds pipelined(std::span<const LayerCost> batches, std::size_t in_flight, double ahead) {
  StagePipeline line(in_flight);
  for (const LayerCost& batch : batches) {
    line.add(batch.stage, batch.vote + batch.commit, batch.launch * ahead + batch.gather);
  }
  return line.end();
}

/// What the engine gets out of its buffers.
struct Concurrency {
  std::size_t in_flight = 1;
  double overlap = 1;
  double launch_ahead = 0;
};

Seconds pipeline(std::span<const LayerCost> batches, const Concurrency& engine) {
  const Seconds together = pipelined(batches, engine.in_flight, engine.launch_ahead);
  if (engine.in_flight == 1 || engine.overlap >= 1) return together;
  return together * engine.overlap + pipelined(batches, 1, 0) * (1 - engine.overlap);
}

/// Shares of so many layers, as the engine cuts them: batch after batch, then a step of the model.
void price_shares(TransferCost& cost, const TransferPlan& plan, const SteppedMode& steps,
                  const Concurrency& engine) {
  std::vector<LayerCost> share;
  std::size_t layers = 0;
  std::size_t next = 0;
  const std::vector<LayerCost> batches = batches_of(plan, cost.layers);
  Seconds waiting;
  std::size_t shares = 0;
  for (const LayerBatch& batch : plan.batches) {
    std::size_t changed = 0;
    for (std::size_t i = batch.first; i < batch.first + batch.count; ++i) {
      changed += plan.layers[i].waves.empty() ? 0U : 1U;
    }
    if (changed == 0) continue;
    share.push_back(batches[next++]);
    layers += changed;
    if (layers < steps.layers_per_step && next < batches.size()) continue;
    waiting += pipeline(share, engine);
    ++shares;
    share.clear();
    layers = 0;
  }
  cost.total = waiting + steps.step * static_cast<double>(shares);
  cost.exposed = waiting;
}

/// Staged beside steps; what everybody has staged by the middle of one goes live at its end. The
/// state machine of schedule/rearrangement.hpp with predicted durations.
void price_beside(TransferCost& cost, const TransferPlan& plan, const SteppedMode& steps) {
  const std::vector<LayerCost> batches = batches_of(plan, cost.layers);
  const std::size_t at_once = steps.commits_per_step == 0 ? batches.size() : steps.commits_per_step;
  std::vector<Seconds> committed;
  std::vector<Seconds> staged;
  Seconds now;
  while (committed.size() < batches.size()) {
    // All that is staged, or could be with the buffers that are free, is known in advance.
    while (staged.size() < batches.size() && staged.size() < committed.size() + cost.in_flight) {
      const std::size_t next = staged.size();
      const Seconds before = staged.empty() ? Seconds() : staged.back();
      const Seconds free = next >= cost.in_flight ? committed[next - cost.in_flight] : Seconds();
      const Seconds gathered = free + batches[next].gather;
      staged.push_back(std::max(before, gathered) + batches[next].stage - batches[next].gather);
    }
    // A vote is cast as soon as there is something to vote for, at the latest in mid-step.
    const Seconds first = staged[committed.size()];
    const Seconds vote = std::clamp(first, now, now + steps.step * 0.5);
    now += steps.step;
    Seconds stall;
    for (std::size_t i = 0; i < at_once && committed.size() < staged.size(); ++i) {
      if (staged[committed.size()] > vote) break;
      stall += batches[committed.size()].commit;
      committed.push_back(now + stall);
    }
    now += stall;
    cost.exposed += stall;
  }
  cost.total = now;
}

}  // namespace

SoftwareCosts python_engine(Seconds plan) {
  return {plan, Seconds(7.5e-3), Seconds(70e-6)};
}

TransferCost price(const TransferPlan& plan, const Topology& topology, const Cluster& cluster,
                   const CostOptions& options) {
  GroupPricer pricer(plan, topology, cluster, options.background_share,
                     options.software.per_operation);
  BatchCost batch_cost(plan, topology, cluster, options, pricer);
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
  cost.in_flight =
      cluster.node_copy && !cluster.engine ? 1 : std::max<std::size_t>(options.buffers, 1);
  Concurrency engine{.in_flight = cost.in_flight};
  if (cluster.engine) {
    engine.overlap = cluster.engine->overlap;
    engine.launch_ahead = cluster.engine->launch_ahead;
  }
  // Beside nothing that takes steps, async goes as fast as it can.
  const bool beside = options.steps && options.steps->beside;
  const bool stepped = options.steps && (!beside || options.steps->step > Seconds());
  if (stepped && beside) {
    price_beside(cost, plan, *options.steps);
  } else if (stepped) {
    price_shares(cost, plan, *options.steps, engine);
  } else {
    cost.total = pipeline(batches_of(plan, cost.layers), engine);
  }
  cost.total += cost.plan + cost.connection;
  if (cluster.engine && cost.stage + cost.commit > Seconds()) cost.total += cluster.engine->once;
  if (!stepped) cost.exposed = options.synchronous ? cost.total : cost.commit;
  return cost;
}

}  // namespace moeshift
