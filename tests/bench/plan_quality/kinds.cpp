// SPDX-License-Identifier: Apache-2.0
// `robust` as it comes against EPLB on the last window and plans that are never renewed.
#include <algorithm>
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

struct Tally {
  int settings = 0;
  int below = 0;   ///< of either rival, by more than chance
  int behind = 0;  ///< in the mean, maybe by chance
};

Contender eplb(const char* name, bool replans) {
  PolicyOptions global;
  global.hierarchy = EplbMode::kGlobal;
  return {.name = name,
          .policy = "deepseek",
          .options = global,
          .forecaster = replans ? "last" : "mean:16",
          .replans = replans};
}

/// One line, and how it counts.
void setting(const std::string& title, const Replanning& run, Tally& tally) {
  const Outcome last = replan(run, eplb("EPLB, last", true));
  const Outcome kept = replan(run, eplb("EPLB kept", false));
  Contender robust{.name = "robust", .policy = "robust", .forecaster = "recentred:16:auto"};
  const Outcome ours = replan(run, robust);
  robust.options.price = 0;
  const Outcome free = replan(run, robust);
  const Outcome& rival = kept.balance > last.balance ? kept : last;
  const PairedDifference by = paired_difference(ours.by_window, rival.by_window);
  const bool below = by.mean < 0 && by.certain();
  ++tally.settings;
  tally.below += below ? 1 : 0;
  tally.behind += by.mean < 0 && !below ? 1 : 0;
  std::printf("%-34s %-8s  %.4f %.4f  %.4f %5.1f  (%.4f %5.1f)  %+.4f (%+.4f .. %+.4f)%s\n",
              title.c_str(), run.start.c_str(), last.balance, kept.balance, ours.balance,
              ours.moves.all, free.balance, free.moves.all, by.mean, by.low, by.high,
              below         ? "  BELOW"
              : by.mean < 0 ? "  behind, maybe by chance"
                            : "");
  std::fflush(stdout);
}

void synthetic(Tally& tally) {
  constexpr std::size_t kWindows = 28;
  constexpr std::size_t kLayers = 6;
  for (const Shape& shape : {Shape{64, 16, 5, 2}, Shape{64, 8, 10, 1}, Shape{64, 24, 3, 3}}) {
    for (const TrafficKind& kind : traffic_kinds()) {
      const auto windows = kind.windows(kLayers, shape.experts, kWindows, 77);
      const std::string title = std::string(kind.name) + ", " + std::to_string(shape.ranks) +
                                " x " + std::to_string(shape.slots_per_rank);
      setting(title, {.windows = windows, .shape = shape, .first = 4, .start = "deepseek"}, tally);
    }
  }
}

void recorded(Tally& tally) {
  const struct {
    const char* name;
    std::size_t steps;
    Shape shape;
  } rows[] = {
      {"gpt_oss_20b_serving_mixed", 4, {32, 8, 5, 1}},
      {"gpt_oss_20b_serving_mixed", 4, {32, 8, 6, 1}},
      {"gpt_oss_20b_serving_mixed", 1, {32, 8, 5, 1}},
      {"gpt_oss_20b_serving_mixed", 2, {32, 16, 3, 2}},
      {"deepseek_v2_lite_esft_shift", 1, {64, 16, 5, 2}},
      {"deepseek_v2_lite_esft_shift", 4, {64, 16, 5, 2}},
      {"deepseek_v2_lite_esft_shift", 1, {64, 8, 9, 1}},
      {"deepseek_v3_sglang6017_prefill", 1, {256, 32, 9, 4}},
      {"olmoe_1b_7b_domains", 1, {64, 8, 9, 1}},
      {"olmoe_1b_7b_domains", 1, {64, 16, 5, 2}},
  };
  for (const auto& row : rows) {
    const auto trace = recording(row.name);
    if (!trace) continue;
    const auto windows = windows_of(trace->loads, row.steps);
    const std::size_t first = std::min<std::size_t>(4, windows.size() / 3);
    for (const char* start : {"deepseek", "static"}) {
      setting(std::string(row.name).substr(0, 18) + ", " + std::to_string(row.shape.ranks) + " x " +
                  std::to_string(row.shape.slots_per_rank) + ", by " + std::to_string(row.steps),
              {.windows = windows, .shape = row.shape, .first = first, .start = start}, tally);
    }
  }
}

void tell(const char* what, const Tally& tally) {
  std::printf(
      "%s: not below beyond chance in %d of %d settings (goal 95 %%), behind in %d more: %s\n",
      what, tally.settings - tally.below, tally.settings, tally.behind,
      verdict(tally.below * 20 <= tally.settings));
}

}  // namespace

void kinds() {
  std::printf(
      "\n== kinds: balancedness on the next window of EPLB on the last one, EPLB's first plan "
      "kept, "
      "`robust` as it comes with transfers per layer and re-plan (and at no price), and over the "
      "better of both rivals (95 %% interval)\n");
  for (const TrafficKind& kind : traffic_kinds()) {
    std::printf("  %-8.*s %.*s\n", static_cast<int>(kind.name.size()), kind.name.data(),
                static_cast<int>(kind.summary.size()), kind.summary.data());
  }
  Tally synthetic_tally;
  synthetic(synthetic_tally);
  tell("synthetic", synthetic_tally);
  Tally recorded_tally;
  recorded(recorded_tally);
  tell("recorded", recorded_tally);
}

}  // namespace moeshift::quality
