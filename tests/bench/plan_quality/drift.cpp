// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"
#include "tests/bench/plan_quality/replanning.hpp"

namespace moeshift::quality {
namespace {

void line(const Contender& contender, const Outcome& outcome) {
  std::printf("  %-28s %.4f  %.4f  %7.1f  %7.2f", contender.name.c_str(), outcome.balance,
              outcome.in_sample, outcome.moves.all, outcome.moves.inter_node);
}

void many_slots(const Shape& shape, double phi, bool judged) {
  std::printf(
      "\nphi %.2f, %zu ranks x %zu on %zu nodes: balancedness on the next window, on the "
      "forecast, transfers and inter-node transfers per layer and re-plan\n",
      phi, shape.ranks, shape.slots_per_rank, shape.nodes);
  const std::vector<LoadMatrix> windows = drifting_windows(58, shape.experts, phi, 44, 9);
  const Replanning run{.windows = windows, .shape = shape, .first = 24, .start = "deepseek"};
  PolicyOptions global;
  global.hierarchy = EplbMode::kGlobal;
  const Contender eplb{.name = "EPLB, ewma:0.5", .policy = "deepseek", .options = global};
  Contender renamed = eplb;
  renamed.name = "EPLB relabelled";
  renamed.relabels = true;
  Contender last = eplb;
  last.name = "EPLB, last";
  last.forecaster = "last";
  Contender kept = eplb;
  kept.name = "EPLB kept";
  kept.replans = false;
  const Outcome theirs = replan(run, eplb);
  line(eplb, theirs);
  std::printf("\n");
  for (const Contender& contender : {kept, last, renamed}) {
    line(contender, replan(run, contender));
    std::printf("\n");
  }
  for (const char* forecaster : {"ewma:0.5", "samples:8", "recentred:8", "recentred:16:auto"}) {
    const bool samples = forecaster[0] != 'e';
    Contender ours;
    ours.policy = samples ? "robust" : "incremental";
    ours.name = ours.policy + ", " + forecaster;
    ours.forecaster = forecaster;
    const Outcome outcome = replan(run, ours);
    line(ours, outcome);
    const bool reached = outcome.moves.all <= 0.05 * theirs.moves.all &&
                         outcome.moves.inter_node <= 0.01 * theirs.moves.inter_node &&
                         outcome.balance >= theirs.balance + 0.02;
    std::printf("  %5.1f %% and %5.2f %% of EPLB's  %s\n",
                100 * outcome.moves.all / theirs.moves.all,
                100 * outcome.moves.inter_node / theirs.moves.inter_node,
                judged && samples ? verdict(reached) : "");
    std::fflush(stdout);
  }
}

void two_slots() {
  const Shape shape{256, 144, 2, 18};
  std::printf("\nphi 0.90, 144 ranks x 2 on 18 nodes\n");
  const std::vector<LoadMatrix> windows = drifting_windows(58, shape.experts, 0.9, 20, 9);
  const Replanning run{.windows = windows, .shape = shape, .first = 4, .start = "deepseek"};
  PolicyOptions global;
  global.hierarchy = EplbMode::kGlobal;
  const Contender renamed{.name = "EPLB relabelled, ewma:0.5",
                          .policy = "deepseek",
                          .options = global,
                          .relabels = true};
  const Outcome theirs = replan(run, renamed);
  line(renamed, theirs);
  std::printf("\n");
  for (const Contender& ours :
       {Contender{.name = "incremental, ewma:0.5", .policy = "incremental"},
        Contender{
            .name = "robust, recentred:8", .policy = "robust", .forecaster = "recentred:8"}}) {
    const Outcome outcome = replan(run, ours);
    line(ours, outcome);
    const bool reached =
        outcome.moves.all <= 0.25 * theirs.moves.all && outcome.in_sample >= theirs.in_sample;
    std::printf("  %5.1f %% of EPLB's  %s\n", 100 * outcome.moves.all / theirs.moves.all,
                ours.policy == "incremental" ? verdict(reached) : "");
    std::fflush(stdout);
  }
}

}  // namespace

void drift() {
  std::printf("\n== drift: synthetic, re-planned every window\n");
  many_slots({256, 32, 9, 4}, 0.9, true);
  many_slots({256, 64, 5, 8}, 0.9, false);
  many_slots({256, 32, 9, 4}, 0.99, false);
  two_slots();
}

}  // namespace moeshift::quality
