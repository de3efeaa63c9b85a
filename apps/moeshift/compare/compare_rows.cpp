// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_rows.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/judge/plan_on.hpp"
#include "moeshift/plan/registry.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/planned_for.hpp"

namespace moeshift::cli {

namespace {

PlannedSteps steps_of(const LoadWindow& recorded) {
  return cli::steps_of(sum_of(recorded.loads), recorded.loads.size());
}

}  // namespace

/// One per policy, for loads that sum up `steps`.
std::vector<std::unique_ptr<Planner>> ComparisonRows::make_planners(
    const PlannedSteps& steps) const {
  PolicyOptions options = question_.policy_options;
  question_.goal.apply_to(options, session_, planned_for(question_.slot_counts.front()), steps);
  std::vector<std::unique_ptr<Planner>> planners;
  for (const std::string& policy : question_.policies) {
    planners.push_back(question_.goal.limited(make_planner(policy, options)));
  }
  return planners;
}

PlannedFor ComparisonRows::planned_for(std::size_t slots) const {
  return read_planned_for(session_, question_.shape_with(slots), windows_.test.header);
}

Comparison ComparisonRows::set_up(std::size_t slots) const {
  const PlannedFor planned = planned_for(slots);
  Comparison comparison{.train = {.load = {},
                                  .topology = planned.topology,
                                  .slots = slots,
                                  .expert_groups = planned.expert_groups,
                                  .seed = session_.seed()},
                        .test = windows_.test.loads,
                        .before = {},
                        .from = {},
                        .cluster = planned.cluster,
                        .expert_sizes = planned.expert_sizes(),
                        .dispatch = question_.goal.dispatch_options(session_),
                        .forecaster = question_.forecaster};
  if (windows_.previous) comparison.before = sum_of(windows_.previous->loads);
  if (question_.from) {
    comparison.from =
        read_placement_for(session_, *question_.from, planned.trace, question_.shape.ranks);
  }
  return comparison;
}

std::vector<ComparisonRow> ComparisonRows::of_settings() const {
  std::vector<ComparisonRow> all;
  const std::size_t total =
      question_.slot_counts.size() * windows_.train.size() * question_.policies.size();
  for (const std::size_t slots : question_.slot_counts) {
    Comparison comparison = set_up(slots);
    for (std::size_t w = 0; w < windows_.train.size(); ++w) {
      const LoadWindow& train = windows_.train[w];
      plan_on(comparison.train, train.loads, question_.forecaster);
      PlannedSteps planned = steps_of(train);
      if (question_.forecaster) planned.count = 1;
      const auto planners = make_planners(planned);
      std::vector<ComparisonRow> rows;
      for (std::size_t i = 0; i < planners.size(); ++i) {
        session_.progress().update("policies", all.size() + i, total);
        rows.push_back(try_policy(comparison, question_.policies[i], *planners[i],
                                  session_.threads(), session_.progress()));
        const std::string steps =
            question_.train.empty() ? "the first half" : "steps " + question_.train[w];
        rows.back().planned_on = steps + forecast_text();
        rows.back().setting = setting_text(slots, windows_.train.size() > 1 ? steps : "");
      }
      judge_rows(comparison, session_.threads(), rows);
      std::move(rows.begin(), rows.end(), std::back_inserter(all));
    }
  }
  return all;
}

std::vector<ComparisonRow> ComparisonRows::of_replay() const {
  const std::size_t start =
      *std::max_element(question_.history_counts.begin(), question_.history_counts.end());
  std::vector<Comparison> comparisons;
  for (const std::size_t slots : question_.slot_counts) {
    comparisons.push_back(set_up(slots));
    comparisons.back().test = joined(windows_.test.loads, question_.window);
  }
  const std::size_t count = comparisons.front().test.size();
  if (count <= start) {
    throw InputError("--history", fmt::format("expected fewer than the {} windows of {} steps",
                                              count, question_.window));
  }
  std::vector<std::vector<std::unique_ptr<Planner>>> planners;  // [histories][policies]
  PlannedSteps planned = steps_of(windows_.test);
  for (const std::size_t history : question_.history_counts) {
    planned.count = question_.forecaster ? question_.window : history * question_.window;
    planners.push_back(make_planners(planned));
  }
  const std::vector<ReplayJob> jobs = replay_jobs();
  std::vector<ComparisonRow> rows(jobs.size());
  parallel_for(rows.size(), session_.threads(), [&](std::size_t i) {
    const auto [slots, history, policy] = jobs[i];
    rows[i] =
        replay_policy(comparisons[slots], question_.policies[policy], *planners[history][policy],
                      question_.history_counts[history], start, session_.progress());
    const std::string text = windows_text(question_.history_counts[history]);
    const bool told_apart =
        question_.history_counts.size() > 1 && question_.policies[policy] != "static";
    rows[i].planned_on = fmt::format("the last {}{}", text, forecast_text());
    rows[i].setting = setting_text(question_.slot_counts[slots], told_apart ? text : "");
  });
  return rows;
}

/// `static` does not look at the past: once is enough.
std::vector<ComparisonRows::ReplayJob> ComparisonRows::replay_jobs() const {
  std::vector<ReplayJob> jobs;
  for (std::size_t slots = 0; slots < question_.slot_counts.size(); ++slots) {
    for (std::size_t history = 0; history < question_.history_counts.size(); ++history) {
      for (std::size_t policy = 0; policy < question_.policies.size(); ++policy) {
        if (question_.policies[policy] == "static" && history > 0) continue;
        jobs.push_back({slots, history, policy});
      }
    }
  }
  return jobs;
}

std::string ComparisonRows::forecast_text() const {
  return question_.forecaster ? ", forecast " + *question_.forecaster : "";
}

std::string ComparisonRows::windows_text(std::size_t count) const {
  const std::size_t steps = count * question_.window;
  return fmt::format("{} step{}", steps, steps == 1 ? "" : "s");
}

std::string ComparisonRows::setting_text(std::size_t slots, const std::string& planned_on) const {
  std::string text = question_.slot_counts.size() > 1 ? fmt::format("{} slots", slots) : "";
  if (!text.empty() && !planned_on.empty()) text += ", ";
  return text + planned_on;
}

}  // namespace moeshift::cli
