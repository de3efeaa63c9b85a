// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_rows.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/part_progress.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/judge/plan_on.hpp"
#include "moeshift/plan/registry.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/planned_for.hpp"

namespace moeshift::cli {

/// One per policy, for loads that sum up `steps`; two where a policy is made to spare the network:
/// as it is, and so.
std::vector<ComparisonRows::Entrant> ComparisonRows::make_planners(const PlannedSteps& steps,
                                                                   bool with_routes) const {
  PolicyOptions options = question_.policy_options;
  question_.goal.apply_to(options, session_, planned_for(question_.slot_counts.front()), steps,
                          with_routes);
  PolicyOptions plain = options;
  plain.network = nullptr;
  std::vector<Entrant> entrants;
  for (const std::string& policy : question_.policies) {
    entrants.push_back({policy, false, question_.goal.limited(make_planner(policy, plain))});
    const auto& all = policies();
    const auto entry = std::find_if(all.begin(), all.end(),
                                    [&](const PolicyEntry& e) { return e.name == policy; });
    if (!options.network || entry == all.end() || !entry->survives) continue;
    entrants.push_back({policy, true, question_.goal.limited(make_planner(policy, options))});
  }
  return entrants;
}

/// Of the steps planned on and of those held out; a file beside the trace is both.
std::optional<ComparedRoutes> ComparisonRows::routes_of(std::size_t train,
                                                        std::size_t slots) const {
  const auto read = [&](const LoadMatrix& load, std::shared_ptr<const RouteSummary> own) {
    return question_.routes.of(session_, windows_.header, load, std::move(own), question_.trace,
                               question_.shape.model);
  };
  ComparedRoutes routes;
  routes.train =
      read(windows_.train[train].loads.sum(), own_ != nullptr ? own_->train[train] : nullptr);
  if (!routes.train) return {};
  if (own_ == nullptr) {
    session_.warn(
        "the routes are one file for the steps planned on and those held out: what is said of "
        "copies has been planned on; record tokens to judge on others");
  }
  routes.test = read(windows_.test.windows.sum(), own_ != nullptr ? own_->test : nullptr);
  routes.train_known = known_routes(routes.train.get());
  routes.test_known = known_routes(routes.test.get());
  routes.serving = question_.goal.serving_model(session_, planned_for(slots));
  routes.tokens_per_step = question_.goal.tokens_per_step.value_or(0);
  return routes;
}

PlannedFor ComparisonRows::planned_for(std::size_t slots) const {
  return read_planned_for(session_, question_.shape_with(slots), windows_.header);
}

Comparison ComparisonRows::set_up(std::size_t slots) const {
  const PlannedFor planned = planned_for(slots);
  Comparison comparison{.train = {.load = {},
                                  .topology = planned.topology,
                                  .slots = slots,
                                  .expert_groups = planned.expert_groups,
                                  .seed = session_.seed(),
                                  .rank_speed = planned.rank_speed},
                        .test = windows_.test.windows,
                        .before = {},
                        .from = {},
                        .cluster = planned.cluster,
                        .expert_sizes = planned.expert_sizes(),
                        .dispatch = question_.goal.dispatch_options(session_),
                        .forecaster = question_.forecaster};
  comparison.before = windows_.previous;
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
  PartProgress policies(session_.progress(), "policies", total);
  for (const std::size_t slots : question_.slot_counts) {
    Comparison comparison = set_up(slots);
    for (std::size_t w = 0; w < windows_.train.size(); ++w) {
      const PlannedLoads& train = windows_.train[w].loads;
      train.give_to(comparison.train);
      comparison.routes = routes_of(w, slots);
      comparison.train.routes = comparison.routes ? comparison.routes->train.get() : nullptr;
      const auto entrants =
          make_planners(steps_of(train.sum(), question_.forecaster ? 1 : train.steps()),
                        comparison.routes.has_value());
      std::vector<PlannedRow> planned;
      for (std::size_t i = 0; i < entrants.size(); ++i) {
        // A policy may take part twice: what it spares the network is a row of its own.
        const std::size_t part = std::min(all.size() + i, total - 1);
        planned.push_back(plan_policy(comparison, entrants[i].policy, *entrants[i].planner,
                                      session_.threads(), policies.part(part)));
        policies.finish(part);
        const std::string steps =
            question_.train.empty() ? "the first half" : "steps " + question_.train[w];
        ComparisonRow& row = planned.back().row;
        row.planned_on = steps + forecast_text();
        row.setting = setting_text(slots, windows_.train.size() > 1 ? steps : "");
        if (!entrants[i].spares_network) continue;
        row.setting += row.setting.empty() ? "network spared" : ", network spared";
      }
      score_rows(comparison, planned);
      std::vector<ComparisonRow> rows;
      for (PlannedRow& one : planned) rows.push_back(std::move(one.row));
      judge_rows(comparison, session_.threads(), rows);
      std::move(rows.begin(), rows.end(), std::back_inserter(all));
    }
  }
  return all;
}

std::vector<ComparisonRow> ComparisonRows::of_replay() const {
  const std::size_t start =
      *std::max_element(question_.history_counts.begin(), question_.history_counts.end());
  const std::size_t count = windows_.test.steps.size() / question_.window;
  if (count <= start) {
    throw InputError("--history", fmt::format("expected fewer than the {} windows of {} steps",
                                              count, question_.window));
  }
  std::vector<Comparison> comparisons;
  for (const std::size_t slots : question_.slot_counts) comparisons.push_back(set_up(slots));
  std::vector<std::vector<Entrant>> planners;  // [histories][policies]
  const LoadMatrix& all = windows_.test.windows.sum();
  PlannedSteps planned = steps_of(all, windows_.test.steps.size());
  for (const std::size_t history : question_.history_counts) {
    planned.count = question_.forecaster ? question_.window : history * question_.window;
    planners.push_back(make_planners(planned, false));
  }
  const std::vector<ReplayJob> jobs = replay_jobs();
  std::vector<PolicyReplay> replays;
  for (const auto& [slots, history, policy] : jobs) {
    replays.emplace_back(comparisons[slots], question_.policies[policy],
                         *planners[history][policy].planner, question_.history_counts[history],
                         count - start);
  }
  PartProgress progress(session_.progress(), "policies", replays.size() * (count - start));
  std::size_t judged = 0;  // windows
  JoinedSteps joined(question_.window);
  std::vector<LoadMatrix> past;  // the last `start` windows
  windows_.test.windows.each([&](const LoadMatrix& step) {
    std::optional<LoadMatrix> window = joined.add(step);
    if (!window) return;
    if (past.size() == start) {
      parallel_for(replays.size(), session_.threads(), [&](std::size_t i) {
        const std::size_t part = judged * replays.size() + i;
        replays[i].judge(past, *window, progress.part(part));
        progress.finish(part);
      });
      ++judged;
      past.erase(past.begin());
    }
    past.push_back(std::move(*window));
  });
  return replayed_rows(jobs, replays);
}

std::vector<ComparisonRow> ComparisonRows::replayed_rows(
    const std::vector<ReplayJob>& jobs, const std::vector<PolicyReplay>& replays) const {
  std::vector<ComparisonRow> rows;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto [slots, history, policy] = jobs[i];
    rows.push_back(replays[i].row());
    const std::string text = windows_text(question_.history_counts[history]);
    const bool told_apart =
        question_.history_counts.size() > 1 && question_.policies[policy] != "static";
    rows[i].planned_on = fmt::format("the last {}{}", text, forecast_text());
    rows[i].setting = setting_text(question_.slot_counts[slots], told_apart ? text : "");
  }
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
