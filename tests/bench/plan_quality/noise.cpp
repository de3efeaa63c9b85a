// SPDX-License-Identifier: Apache-2.0
// `incremental` on one window at a time, where that window is noisy: does it move more than pays?
#include <cstdio>
#include <string>
#include <vector>

#include "moeshift/judge/paired_difference.hpp"

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"
#include "tests/bench/plan_quality/replanning.hpp"
#include "tests/bench/plan_quality/traffic.hpp"

namespace moeshift::quality {
namespace {

/// How often moving was worth less than never moving, or than EPLB on the same window.
struct NoiseTally {
  int settings = 0;
  int below_kept = 0;
  int below_eplb = 0;
};

Contender eplb_contender(bool replans, const std::string& forecaster) {
  PolicyOptions global;
  global.hierarchy = EplbMode::kGlobal;
  return {.name = "EPLB",
          .policy = "deepseek",
          .options = global,
          .forecaster = forecaster,
          .replans = replans};
}

void noise_row(const std::string& title, const Replanning& run, NoiseTally& tally) {
  const Outcome kept = replan(run, eplb_contender(false, "mean:16"));
  const Outcome last = replan(run, eplb_contender(true, "last"));
  for (const char* forecaster : {"last", "ewma:0.5"}) {
    const Outcome ours =
        replan(run, {.name = "incremental", .policy = "incremental", .forecaster = forecaster});
    const PairedDifference by_kept = paired_difference(ours.by_window, kept.by_window);
    const PairedDifference by_eplb = paired_difference(ours.by_window, last.by_window);
    const bool below_kept = by_kept.mean < 0 && by_kept.certain();
    const bool below_eplb = by_eplb.mean < 0 && by_eplb.certain();
    ++tally.settings;
    tally.below_kept += below_kept ? 1 : 0;
    tally.below_eplb += below_eplb ? 1 : 0;
    std::printf("%-34s %-8s  %.4f  %.4f  %.4f %6.1f  (planned on %.4f)%s%s\n", title.c_str(),
                forecaster, kept.balance, last.balance, ours.balance, ours.moves.all,
                ours.in_sample, below_kept ? "  BELOW KEPT" : "", below_eplb ? "  BELOW EPLB" : "");
    std::fflush(stdout);
  }
}

void noisy_kinds(NoiseTally& tally) {
  for (const Shape& shape :
       {Shape{256, 144, 2, 18}, Shape{256, 32, 9, 4}, Shape{64, 16, 5, 2}, Shape{64, 24, 3, 3}}) {
    for (const TrafficKind& kind : traffic_kinds()) {
      const auto windows = kind.windows(4, shape.experts, 20, 2026);
      noise_row(std::string(kind.name) + ", " + std::to_string(shape.ranks) + " x " +
                    std::to_string(shape.slots_per_rank),
                {.windows = windows, .shape = shape, .first = 4, .start = "deepseek"}, tally);
    }
  }
}

void noisy_recordings(NoiseTally& tally) {
  const struct {
    const char* name;
    std::size_t steps;
    Shape shape;
  } rows[] = {
      {"gpt_oss_20b_serving_mixed", 1, {32, 16, 3, 2}},
      {"gpt_oss_20b_serving_mixed", 1, {32, 8, 5, 1}},
      {"gpt_oss_20b_serving_mixed", 8, {32, 8, 5, 1}},
      {"deepseek_v2_lite_esft_shift", 1, {64, 36, 2, 4}},
      {"deepseek_v2_lite_esft_shift", 1, {64, 16, 5, 2}},
      {"deepseek_v2_lite_esft_shift", 4, {64, 16, 5, 2}},
      {"deepseek_v3_sglang6017_prefill", 1, {256, 144, 2, 18}},
      {"deepseek_v3_sglang6017_prefill", 1, {256, 32, 9, 4}},
  };
  for (const auto& row : rows) {
    const auto trace = recording(row.name);
    if (!trace) continue;
    const auto windows = windows_of(trace->loads, row.steps);
    noise_row(std::string(row.name).substr(0, 18) + ", " + std::to_string(row.shape.ranks) + " x " +
                  std::to_string(row.shape.slots_per_rank) + ", by " + std::to_string(row.steps),
              {.windows = windows, .shape = row.shape, .first = 1, .start = "deepseek"}, tally);
  }
}

}  // namespace

void noise() {
  std::printf(
      "\n== noise: `incremental` on one window at a time: balancedness on the next window of "
      "EPLB's "
      "first plan kept, of EPLB on the last window and of `incremental` with transfers per layer "
      "and re-plan, and below either by more than the 95 %% interval\n");
  NoiseTally tally;
  noisy_recordings(tally);
  noisy_kinds(tally);
  std::printf("below the plan kept in %d, below EPLB on the last window in %d of %d settings\n",
              tally.below_kept, tally.below_eplb, tally.settings);
}

}  // namespace moeshift::quality
