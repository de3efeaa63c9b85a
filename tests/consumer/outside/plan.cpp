// SPDX-License-Identifier: Apache-2.0
// A program of somebody else: plans, prices and moves with the installed library.
#include <cstdio>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/model/shipped.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

int main() {
  using namespace moeshift;
  NoProgress silent;
  PlanProblem problem{.load = LoadMatrix(2, 16, 1.0), .topology = Topology(4, 1), .slots = 20};
  const Placement old = make_planner("balanced")->plan(problem, Threads{1}, silent).placement;
  for (const LayerId layer : problem.load.row_ids()) problem.load(layer, ExpertId(3)) = 9;
  const Placement next = make_planner("balanced")->plan(problem, Threads{1}, silent).placement;
  const Cluster cluster = load_cluster("hgx_h200");
  const ExpertLayouts layout(single_tensor_layout(Bytes(4096)));
  const TransferPlan plan = make_transfer_plan(old, next, Topology(4, 1), layout.sizes());
  if (price(plan, Topology(4, 1), cluster).total.count() <= 0) return 1;
  const auto world = host_backend().open({.ranks = 4, .place = {}, .settings = {}});
  const ShuffleJob job{.plan = &plan, .old = &old, .next = &next, .layout = layout};
  for (const RankOutcome& rank : run_world(*world, job, {})) {
    if (rank.failure || !rank.faults.empty() || rank.slots_verified == 0) return 1;
  }
  std::puts("C++: planned, priced and moved");
  return 0;
}
