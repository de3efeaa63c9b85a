// SPDX-License-Identifier: Apache-2.0
// What one rearrangement of DeepSeek-V3 costs on nodes of eight H200.
#include <cstdio>
#include <exception>

#include "moeshift/core/rng.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/model/shipped.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace {

using namespace moeshift;

LoadMatrix loads_of(const MoeModel& model, std::uint64_t seed) {
  Rng rng(seed);
  LoadMatrix load(model.num_layers, model.num_experts);
  for (double& tokens : load.items()) tokens = static_cast<double>(1 + rng.below(1000));
  return load;
}

int run() {
  const Cluster cluster = load_cluster("hgx_h200");
  const MoeModel model = load_model("deepseek_v3_fp8");
  const Topology topology = cluster.topology(32);
  NoProgress silent;
  PlanProblem problem{.load = loads_of(model, 1), .topology = topology, .slots = 288};
  const Placement old = make_planner("deepseek")->plan(problem, Threads{}, silent).placement;
  problem.load = loads_of(model, 2);
  problem.old = &old;
  const Placement next = make_planner("vllm")->plan(problem, Threads{}, silent).placement;

  const TransferPlan plan =
      make_transfer_plan(old, next, topology, model.expert_sizes(), options_for(cluster));
  const TransferCost cost = price(plan, topology, cluster);
  const TransferTotals totals = totals_of(plan);
  const auto bytes = [&](LinkClass link) {
    return static_cast<double>(totals.bytes_by_link[static_cast<std::size_t>(link)].count()) * 1e-9;
  };
  std::printf("%zu transfers: %.1f GB inside nodes, %.1f GB between them\n", totals.transfers,
              bytes(LinkClass::kIntraNode), bytes(LinkClass::kInterNode));
  std::printf("predicted: %.1f ms, of which inference waits for %.1f ms\n",
              cost.total.count() * 1e3, cost.exposed.count() * 1e3);
  return totals.transfers > 0 && cost.total.count() > 0 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
