// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/felt.hpp"

#include <algorithm>

#include "moeshift/core/id_vector.hpp"

namespace moeshift {
namespace {

struct Ports {
  Bytes sent;
  Bytes received;
  Seconds out;
  Seconds in;
};

IdVector<RankId, Ports> ports_of(const TransferPlan& plan, const Cluster& cluster) {
  IdVector<RankId, Ports> ports(plan.ranks);
  for (std::size_t layer = 0; layer < plan.layers.size(); ++layer) {
    for (const Wave& wave : plan.layers[layer].waves) {
      for (const Transfer& t : wave.transfers) {
        const Bytes bytes = plan.size_of(layer, t.expert);
        const LinkParameters& link = cluster.link(t.link);
        ports[t.source].sent += bytes;
        ports[t.source].out += bytes / link.egress;
        ports[t.destination].received += bytes;
        ports[t.destination].in += bytes / link.ingress;
      }
    }
  }
  return ports;
}

}  // namespace

Seconds taken_from_steps(const TransferPlan& plan, const Cluster& cluster, const TransferCost& cost,
                         StepBound bound, const StagingShare& staging) {
  if (bound == StepBound::kCompute) return cost.stage * staging.multiprocessors;
  Seconds most;
  for (const Ports& rank : ports_of(plan, cluster)) {
    if (bound == StepBound::kLinks) {
      most = std::max({most, rank.out, rank.in});
      continue;
    }
    const Bytes gathered = staging.gathered ? rank.sent * 2 : Bytes(0);
    most = std::max(most, (rank.sent + rank.received + gathered) / (cluster.local_copy * 2));
  }
  return most;
}

}  // namespace moeshift
