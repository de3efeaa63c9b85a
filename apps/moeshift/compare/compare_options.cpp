// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_options.hpp"

#include <set>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/except_options.hpp"
#include "apps/moeshift/cli/option_value.hpp"
#include "apps/moeshift/inputs/recorded_world.hpp"

namespace moeshift::cli {

void CompareOptions::declare(Options& options) {
  trace.declare(options);
  options.list("--policies", policies, "who takes part; see `moeshift policies`");
  options.require_last();
  ExceptOptions once(options, {"--slots"});
  shape.declare(once);
  options.list("--slots", slots,
               "physical slots per layer over all ranks, e.g. 256,288,320; default: as the "
               "recording says");
  options.list("--train", train,
               "steps to plan on, first:last (last not included), several for several settings; "
               "default: the first half");
  options.option("--test", test, "held-out steps to judge on; default: the second half");
  options.option("--previous", previous,
                 "steps on which each policy planned the placement that it now moves away from; "
                 "default: all start from the initial map of an engine (policy static)");
  options.option("--from", from,
                 "the placement to move away from: a plan, or any format of `export`");
  options.flag("--replay", replay,
               "plan again after every window, on the past alone; the next window judges");
  options.option("--window", window, "replay: steps per window");
  options.list("--history", history, "replay: windows to plan on, e.g. 1,4,16; default: 1");
  declare_forecaster(options, forecaster);
  options.option("--reference", reference,
                 "policy that the others are compared with; default: static, else the first");
  options.section("policy");
  declare_policy_options(options, policy_options, goal.price_steps);
  options.section("goal");
  goal.declare(options);
  routes.declare(options);
  trace.declare_options(options);
}

void CompareOptions::check() {
  check_policies();
  slot_counts = parse_counts("--slots", slots);
  if (history.empty()) history = {"1"};
  history_counts = parse_counts("--history", history);
  check_steps();
}

void CompareOptions::check_policies() const {
  std::set<std::string> seen;
  for (const std::string& policy : policies) {
    if (!seen.insert(policy).second) {
      throw InputError("--policies", fmt::format("'{}' is named twice", policy));
    }
  }
  if (reference && !seen.contains(*reference)) {
    throw InputError("--reference", fmt::format("'{}' takes no part", *reference));
  }
}

void CompareOptions::check_steps() const {
  if (window == 0) throw InputError("--window", "expected at least 1");
  if (replay && (!train.empty() || test || previous)) {
    throw InputError("--replay",
                     "expected no --train, --test or --previous: every window is "
                     "held out once");
  }
  if (replay && routes.given()) {
    throw InputError("--routes", "expected no --replay: routes are judged on --train and --test");
  }
  if (train.empty() == test.has_value()) {
    throw InputError(test ? "--train" : "--test", "expected --train and --test together");
  }
  check_held_out();
  if (previous && from) throw InputError("--from", "expected either --from or --previous");
  if (from && slot_counts.size() > 1) {
    throw InputError("--from", "a placement has one number of slots; expected one in --slots");
  }
}

/// Steps that were planned on judge nobody.
void CompareOptions::check_held_out() const {
  if (!test) return;
  const StepRange judged = parse_step_range(*test, "--test");
  for (const std::string& text : train) {
    const StepRange planned = parse_step_range(text, "--train");
    const bool before = planned.last && *planned.last <= judged.first;
    const bool after = judged.last && *judged.last <= planned.first;
    if (before || after) continue;
    throw InputError("--test", fmt::format("expected steps that --train {} has not seen, found {}",
                                           text, *test));
  }
}

std::vector<std::string> CompareOptions::unused() const {
  std::vector<std::string> lines;
  if (replay) return lines;
  if (window != 1) lines.emplace_back("--window is not used: without --replay a window is a step");
  if (history_counts != std::vector<std::size_t>{1}) {
    lines.emplace_back("--history is not used: without --replay policies plan on --train");
  }
  return lines;
}

void CompareOptions::take_record(Session& session, const TraceHeader& header) {
  PlanShape asked = shape;
  if (!slot_counts.empty()) asked.slots = slot_counts.front();
  shape = whole_shape(session, std::move(asked), header);
  if (slot_counts.empty()) slot_counts = {shape.slots};
}

PlanShape CompareOptions::shape_with(std::size_t slot_count) const {
  PlanShape result = shape;
  result.slots = slot_count;
  return result;
}

std::string CompareOptions::previous_text() const {
  if (replay) return "the window before";
  if (from) return *from;
  return previous ? "each policy's own plan on steps " + *previous : "the initial map";
}

}  // namespace moeshift::cli
