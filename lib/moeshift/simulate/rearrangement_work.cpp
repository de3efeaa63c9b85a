// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/rearrangement_work.hpp"

#include <algorithm>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/stage_pipeline.hpp"

namespace moeshift {

BytesByLink& operator+=(BytesByLink& sum, const BytesByLink& more) {
  for (std::size_t link = 0; link < kLinkClasses; ++link) sum[link] += more[link];
  return sum;
}

BytesByLink RearrangementWork::bytes() const {
  BytesByLink sum{};
  for (const LayerWork& layer : layers) sum += layer.bytes;
  return sum;
}

std::size_t RearrangementWork::transfers() const {
  std::size_t sum = 0;
  for (const LayerWork& layer : layers) sum += layer.transfers;
  return sum;
}

RearrangementWork work_of(const TransferPlan& plan, const TransferCost& cost, bool unchanged_too,
                          const LayerWork& handshake) {
  MOESHIFT_CHECK(cost.layers.size() == plan.layers.size());
  RearrangementWork work{.connection = cost.connection, .in_flight = cost.in_flight, .layers = {}};
  for (std::size_t batch = 0; batch < plan.batches.size(); ++batch) {
    const LayerBatch& range = plan.batches[batch];
    for (std::size_t i = range.first; i < range.first + range.count; ++i) {
      LayerWork layer = handshake;
      layer.layer = plan.layers[i].layer;
      layer.batch = batch;
      if (!plan.layers[i].waves.empty()) {
        const TransferTotals totals = totals_of(plan, i);
        layer.stage = cost.layers[i].stage;
        layer.vote = cost.layers[i].vote;
        layer.commit = cost.layers[i].commit;
        layer.bytes = totals.bytes_by_link;
        layer.transfers = totals.transfers;
      } else if (!unchanged_too) {
        continue;
      }
      work.layers.push_back(layer);
    }
  }
  return work;
}

Seconds pipelined(std::span<const LayerWork> layers, std::size_t in_flight) {
  StagePipeline line(in_flight);
  for (std::size_t first = 0; first < layers.size();) {
    Seconds stage;
    Seconds commit;
    std::size_t next = first;
    for (; next < layers.size() && layers[next].batch == layers[first].batch; ++next) {
      stage += layers[next].stage;
      commit += layers[next].vote + layers[next].commit;
    }
    first = next;
    line.add(stage, commit);
  }
  return line.end();
}

}  // namespace moeshift
