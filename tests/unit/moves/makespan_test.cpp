// SPDX-License-Identifier: Apache-2.0
// DeepSeek-V3 at 32 ranks on 4 nodes: how far from what no schedule can beat, and from the peers.
// Bounds are worked out here, from the placements alone.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/unit/moves/shipped.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

constexpr std::size_t kRanks = 32;
constexpr std::size_t kNodes = 4;
constexpr std::size_t kSlots = 288;

using Choices = std::vector<std::vector<RankId>>;  ///< per job the ports that may do it

/// The least that the busiest port must do: the smallest capacity with which every job finds a
/// port.
std::size_t least_peak(const Choices& jobs) {
  for (std::size_t capacity = 1;; ++capacity) {
    std::vector<std::vector<std::size_t>> taken(kRanks);
    std::vector<bool> seen(kRanks);
    const std::function<bool(std::size_t)> place = [&](std::size_t job) {
      for (const RankId port : jobs[job]) {
        if (seen[port.index()]) continue;
        seen[port.index()] = true;
        auto& here = taken[port.index()];
        if (here.size() < capacity) {
          here.push_back(job);
          return true;
        }
        for (std::size_t& other : here) {
          if (!place(other)) continue;
          other = job;
          return true;
        }
      }
      return false;
    };
    bool all = true;
    for (std::size_t job = 0; job < jobs.size() && all; ++job) {
      seen.assign(kRanks, false);
      all = place(job);
    }
    if (all) return capacity;
  }
}

/// Bytes that a port, or the wires of a node, must carry for one layer, whatever the schedule.
class LayerBound {
 public:
  LayerBound(const Placement& old, const Placement& next, LayerId layer, const Topology& topology)
      : old_(old), next_(next), layer_(layer), topology_(topology) {
    for (const RankId rank : all_ids<RankId>(kRanks)) {
      for (const ExpertId expert : old.rank_slots(layer, rank)) holders_[expert].insert(rank);
    }
    for (const RankId rank : all_ids<RankId>(kRanks)) {
      for (const ExpertId expert : next.rank_slots(layer, rank)) {
        if (holders_[expert].count(rank) == 0)
          needs_[{expert, topology.node_of(rank)}].insert(rank);
      }
    }
  }

  [[nodiscard]] Seconds seconds(Bytes expert, const Cluster& cluster) const {
    Choices out_between, in_between, out_inside, in_inside;
    std::map<NodeId, std::int64_t> into;
    for (const auto& [key, receivers] : needs_) {
      const auto& [wanted, node] = key;
      std::vector<RankId> near;
      std::vector<RankId> far;
      for (const RankId holder : holders_.at(wanted)) {
        (topology_.node_of(holder) == node ? near : far).push_back(holder);
      }
      if (near.empty()) {
        out_between.push_back(far);
        in_between.emplace_back(receivers.begin(), receivers.end());
        ++into[node];
        continue;
      }
      for (const RankId receiver : receivers) {
        out_inside.push_back(near);
        in_inside.push_back({receiver});
      }
    }
    const auto port = [&](const Choices& jobs, BytesPerSecond rate) {
      return jobs.empty() ? Seconds() : expert * static_cast<std::int64_t>(least_peak(jobs)) / rate;
    };
    Seconds bound = std::max(
        {port(out_between, cluster.inter_node.egress), port(in_between, cluster.inter_node.ingress),
         port(out_inside, cluster.intra_node.egress), port(in_inside, cluster.intra_node.ingress)});
    for (const auto& [node, crossings] : into) {
      bound = std::max(bound, expert * crossings / *cluster.inter_node.node_ingress);
    }
    return bound;
  }

 private:
  const Placement& old_;
  const Placement& next_;
  LayerId layer_;
  const Topology& topology_;
  std::map<ExpertId, std::set<RankId>> holders_;
  std::map<std::pair<ExpertId, NodeId>, std::set<RankId>> needs_;
};

struct Deployment {
  Topology topology{kRanks, kNodes};
  Cluster cluster = shipped_cluster("hgx_h200");
  MoeModel model = shipped_model("deepseek_v3_fp8");

  [[nodiscard]] TransferPlan ours(const Placement& old, const Placement& next) const {
    return make_transfer_plan(old, next, topology, model.expert_bytes(), options_for(cluster),
                              Threads{2});
  }
  [[nodiscard]] TransferPlan peers(PeerSchedule peer, const Placement& old,
                                   const Placement& next) const {
    return make_peer_plan(peer, old, next, topology, model.expert_bytes(),
                          static_cast<std::uint32_t>(model.expert_tensors.size()), Threads{2});
  }
  [[nodiscard]] TransferCost cost(const TransferPlan& plan, std::size_t buffers) const {
    return price(plan, topology, cluster, {.buffers = buffers});
  }
};

Seconds time_of(const LayerCost& layer) {
  return layer.stage + layer.vote + layer.commit;
}

void require_near_the_bound(const std::vector<Placement>& plans) {
  const Deployment v3;
  Seconds all;
  Seconds bounds;
  for (std::size_t step = 1; step < plans.size(); ++step) {
    const TransferPlan plan = v3.ours(plans[step - 1], plans[step]);
    const TransferCost cost = v3.cost(plan, 2);
    for (const LayerId layer : all_ids<LayerId>(plan.layers.size())) {
      const Seconds bound = LayerBound(plans[step - 1], plans[step], layer, v3.topology)
                                .seconds(plan.sizes.largest(), v3.cluster);
      all += cost.layers[layer.index()].stage;
      bounds += bound;
    }
  }
  INFO("staging " << all.count() << " s, bound " << bounds.count() << " s");
  CHECK(ratio(all, bounds) <= 1.05);
  CHECK(ratio(all, bounds) >= 1);
}

void require_faster_than_peers(const std::vector<Placement>& plans) {
  const Deployment v3;
  for (std::size_t step = 1; step < plans.size(); ++step) {
    INFO("step " << step);
    const TransferCost ours = v3.cost(v3.ours(plans[step - 1], plans[step]), 2);
    const auto theirs = [&](PeerSchedule peer) {
      return v3.cost(v3.peers(peer, plans[step - 1], plans[step]), 1);
    };
    CHECK(ratio(theirs(PeerSchedule::kVllmBatched).total, ours.total) >= 2.2);
    for (const PeerSchedule peer : {PeerSchedule::kVllm, PeerSchedule::kSglang}) {
      const TransferCost cost = theirs(peer);
      for (std::size_t layer = 0; layer < cost.layers.size(); ++layer) {
        INFO("layer " << layer);
        CHECK(time_of(ours.layers[layer]) <= time_of(cost.layers[layer]) * (1 + 1e-9));
      }
    }
  }
}

std::filesystem::path recorded() {
  return shared_path("traces/deepseek_v3_sglang6017_prefill.jsonl");
}
std::filesystem::path synthetic() {
  return source_path("traces/deepseek_like_prefill.jsonl");
}

std::vector<Placement> deepseek_plans(const std::filesystem::path& trace) {
  return step_by_step(trace, "deepseek", Topology(kRanks, kNodes), kSlots);
}

}  // namespace

TEST_CASE("staging a recorded prefill's plans takes at most 1.05 of what ports and wires need") {
  require_near_the_bound(deepseek_plans(recorded()));
}

TEST_CASE("staging a synthetic prefill's plans takes at most 1.05 of what ports and wires need") {
  require_near_the_bound(deepseek_plans(synthetic()));
}

TEST_CASE("a recorded prefill's plans move 2.2 times faster than vllm-batched, no layer slower") {
  require_faster_than_peers(deepseek_plans(recorded()));
}

TEST_CASE("a synthetic prefill's plans move 2.2 times faster than vllm-batched, no layer slower") {
  require_faster_than_peers(deepseek_plans(synthetic()));
}
