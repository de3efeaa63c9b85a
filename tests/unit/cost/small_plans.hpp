// SPDX-License-Identifier: Apache-2.0
// Plans written by hand: four ranks on two nodes, experts of 1 MB.
#pragma once

#include <utility>
#include <vector>

#include "moeshift/cost/transfer_cost.hpp"

namespace moeshift::test {

inline constexpr auto kInter = LinkClass::kInterNode;
inline constexpr auto kIntra = LinkClass::kIntraNode;

inline Transfer transfer(int expert, int source, int destination, LinkClass link, int group = 0) {
  Transfer t;
  t.expert = ExpertId(expert);
  t.source = RankId(source);
  t.destination = RankId(destination);
  t.link = link;
  t.round = t.group = static_cast<std::uint32_t>(group);
  return t;
}

/// One wave a layer; a layer without transfers stays as it is.
inline TransferPlan plan_of(std::vector<std::vector<Transfer>> layers) {
  TransferPlan plan;
  plan.ranks = 4;
  plan.sizes = Bytes(1'000'000);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    plan.layers.push_back({LayerId(i), {}});
    if (!layers[i].empty()) plan.layers.back().waves.push_back({{}, std::move(layers[i]), {}});
    plan.batches.push_back({i, 1});
  }
  plan.staging_slots.assign(4, 1);
  return plan;
}

inline TransferCost price_on(const Cluster& cluster, const TransferPlan& plan,
                             const CostOptions& options = {}) {
  return price(plan, Topology(4, 2), cluster, options);
}

}  // namespace moeshift::test
