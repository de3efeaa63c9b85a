// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/sweep_report.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"

#include "apps/moeshift/compare/compare_report.hpp"
#include "apps/moeshift/serving/simulate_report.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Json point_json(const SweepPoint& point) {
  return {{"name", point.name()},
          {"policy", point.policy},
          {"ranks", point.ranks},
          {"slots", point.slots},
          {"interval_steps", point.interval == 0 ? Json() : Json(point.interval)},
          {"forecaster", point.forecaster.empty() ? Json() : Json(point.forecaster)}};
}

/// The row that keeps its placement on as many ranks and slots.
const SweepRow& still(const std::vector<SweepRow>& rows, const SweepRow& row) {
  return *std::find_if(rows.begin(), rows.end(), [&](const SweepRow& other) {
    return other.point.interval == 0 && other.point.ranks == row.point.ranks &&
           other.point.slots == row.point.slots;
  });
}

std::string goal_text(SweepGoal goal, const SweepRow& row) {
  if (goal == SweepGoal::kP99) {
    return fmt::format("p99 of {}", human(row.result.step_times.quantile(0.99)));
  }
  if (goal == SweepGoal::kPerRank) {
    return grouped(std::llround(row.value(goal))) + " tokens/s and rank";
  }
  return grouped(std::llround(row.value(goal))) + " tokens/s";
}

std::string_view goal_name(SweepGoal goal) {
  if (goal == SweepGoal::kP99) return "p99";
  return goal == SweepGoal::kPerRank ? "per-rank" : "throughput";
}

/// How far behind the best, as a share of the best's step time (or p99).
double best_seconds(const std::vector<SweepRow>& rows, const SweepVerdict& verdict,
                    SweepGoal goal) {
  const SweepRow& best = rows[verdict.best];
  if (goal == SweepGoal::kP99) return best.result.step_times.quantile(0.99).count();
  const double mean = best.result.step_times.mean().count();
  return goal == SweepGoal::kPerRank ? mean * static_cast<double>(best.point.ranks) : mean;
}

Cell behind_cell(const PairedDifference& behind, double whole) {
  const auto percent = [&](double seconds) { return 100 * seconds / whole; };
  const std::string mean = fixed(percent(behind.mean), 2);
  const std::string raw = round_trip(behind.mean / whole);
  if (behind.method == IntervalMethod::kNone) return {mean + " %", raw, true};
  return {fmt::format("{} [{}, {}] %", mean, fixed(percent(behind.low), 2),
                      fixed(percent(behind.high), 2)),
          raw, true};
}

}  // namespace

Json to_json(const std::vector<SweepRow>& rows, const SweepVerdict& verdict) {
  Json json = Json::array();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SweepRow& row = rows[i];
    Json item = point_json(row.point);
    item["expert_bytes_per_rank"] = row.memory.count();
    item["throughput_per_rank"] = row.value(SweepGoal::kPerRank);
    item.update(to_json(row.result));
    item["vs_static"] = ratios(row.result, still(rows, row).result);
    item["behind_best"] = to_json(verdict.behind[i]);
    item["pareto"] = static_cast<bool>(verdict.pareto[i]);
    json.push_back(std::move(item));
  }
  return json;
}

Json to_json(const std::vector<Refused>& refused) {
  Json json = Json::array();
  for (const Refused& one : refused) {
    Json item = point_json(one.point);
    item["reason"] = one.reason;
    json.push_back(std::move(item));
  }
  return json;
}

Json best_json(const std::vector<SweepRow>& rows, const SweepVerdict& verdict, SweepGoal goal) {
  Json tied = Json::array();
  for (const std::size_t row : verdict.tied) tied.push_back(rows[row].point.name());
  Json json = point_json(rows[verdict.best].point);
  json["goal"] = goal_name(goal);
  json["runner_up"] = verdict.runner_up ? Json(rows[*verdict.runner_up].point.name()) : Json();
  json["runner_up_behind"] =
      verdict.runner_up ? to_json(verdict.behind[*verdict.runner_up]) : Json();
  json["certain"] = verdict.tied.empty();
  json["tied_with"] = std::move(tied);
  json["thriftiest"] = rows[verdict.thrifty].point.name();
  return json;
}

Table sweep_table(const std::vector<SweepRow>& rows, const SweepVerdict& verdict, SweepGoal goal) {
  Table table{"",
              {"policy", "ranks", "slots", "every", "weights", "tokens/s", "gain", "p99", "exposed",
               "moved", "behind best [95 %]", "*"},
              {}};
  table.keys = 4;
  const double whole = best_seconds(rows, verdict, goal);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SweepRow& row = rows[i];
    const LaneResult& result = row.result;
    const std::string& forecaster = row.point.forecaster;
    table.rows.push_back(
        {Cell::text(row.point.policy + (forecaster.empty() ? "" : ", " + forecaster)),
         Cell::count(row.point.ranks), Cell::count(row.point.slots),
         row.point.interval == 0 ? Cell::empty()
                                 : Cell::count(static_cast<std::int64_t>(row.point.interval)),
         Cell::bytes(row.memory), Cell::decimal(result.tokens_per_second(), 0),
         Cell::percent(result.tokens_per_second() / still(rows, row).result.tokens_per_second() -
                       1),
         Cell::seconds(result.step_times.quantile(0.99)), Cell::seconds(result.exposed),
         Cell::bytes(row.bytes_moved()),
         i == verdict.best ? Cell{"best", "0", true} : behind_cell(verdict.behind[i], whole),
         Cell::text(verdict.pareto[i] ? "*" : "")});
  }
  return table;
}

Table refused_table(const std::vector<Refused>& refused) {
  Table table{"cannot be", {"ranks", "slots", "combinations", "reason"}, {}};
  std::map<std::tuple<std::size_t, std::size_t, std::string>, std::size_t> counts;
  for (const Refused& one : refused) {
    ++counts[{one.point.ranks, one.point.slots, one.reason}];
  }
  for (const auto& [key, count] : counts) {
    const auto& [ranks, slots, reason] = key;
    table.rows.push_back(
        {Cell::count(ranks), Cell::count(slots), Cell::count(count), Cell::text(reason)});
  }
  return table;
}

Conclusion conclusion_of(const std::vector<SweepRow>& rows, const SweepVerdict& verdict,
                         SweepGoal goal) {
  const SweepRow& best = rows[verdict.best];
  Conclusion said{
      fmt::format("best by {}: {} ({})", goal_name(goal), best.point.name(), goal_text(goal, best)),
      verdict.tied.empty() ? Tone::kGood : Tone::kPlain,
      {}};
  if (!verdict.runner_up) return said;
  const PairedDifference& behind = verdict.behind[*verdict.runner_up];
  const double whole = best_seconds(rows, verdict, goal);
  const std::string next =
      fmt::format("next is {}, {} % behind", rows[*verdict.runner_up].point.name(),
                  fixed(100 * behind.mean / whole, 2));
  if (!behind.enough()) {
    said.reasons = {next,
                    fmt::format("{} {} of recordings are too few to say whether that is chance",
                                behind.pairs, behind.pairs == 1 ? "block" : "blocks")};
    return said;
  }
  said.reasons = {fmt::format("{} (95 % interval {} to {} %, {})", next,
                              fixed(100 * behind.low / whole, 2),
                              fixed(100 * behind.high / whole, 2),
                              counted(behind.pairs, "block of steps", "blocks of steps"))};
  if (verdict.tied.empty()) {
    said.text += ": a real difference";
    return said;
  }
  std::vector<std::string> names;
  for (const std::size_t row : verdict.tied) names.push_back(rows[row].point.name());
  constexpr std::size_t kNamed = 4;
  const std::size_t more = names.size() > kNamed ? names.size() - kNamed : 0;
  names.resize(names.size() - more);
  said.text += fmt::format(". Advised: {}, the thriftiest within 1 % of it",
                           rows[verdict.thrifty].point.name());
  said.reasons.push_back(fmt::format("this trace cannot tell the best apart from {}{}",
                                     fmt::join(names, "; "),
                                     more > 0 ? fmt::format(" and {} more", more) : ""));
  return said;
}

}  // namespace moeshift::cli
