// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/diagnose_report.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"

#include "apps/moeshift/compare/compare_report.hpp"
#include "apps/moeshift/inputs/by_link.hpp"
#include "apps/moeshift/plan/network_report.hpp"
#include "apps/moeshift/serving/diagnose_page.hpp"
#include "apps/moeshift/serving/simulate_report.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLayersShown = 8;

template <class Items, class Get>
double mean_over(const Items& items, Get get) {
  double sum = 0;
  for (const auto& item : items) sum += get(item);
  return items.empty() ? 0 : sum / static_cast<double>(items.size());
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string advice_text(const Findings& findings) {
  const Diagnosis& diagnosis = findings.diagnosis;
  std::string text(name_of(diagnosis.advice));
  if (diagnosis.advice == Advice::kDynamic) {
    text += " with an interval of " + counted(findings.lanes[*diagnosis.lane].interval, "step");
  }
  return text;
}

Json held_out_json(const Diagnosis& diagnosis) {
  if (!diagnosis.held_out) return {};
  const HeldOut& held = *diagnosis.held_out;
  return {{"saving_share", held.mean},
          {"low", held.low},
          {"high", held.high},
          {"halvings", held.halvings}};
}

Json imbalance_json(const Findings& findings) {
  const auto& layers = findings.layers;
  return {
      {"experts", mean_over(findings.statistics.layers, [](const auto& l) { return l.imbalance; })},
      {"ranks_now", mean_over(layers, [](const auto& l) { return l.now; })},
      {"ranks_without_redundancy", mean_over(layers, [](const auto& l) { return l.without; })},
      {"ranks_with_slots", mean_over(layers, [](const auto& l) { return l.with_slots; })},
      {"lower_bound", mean_over(layers, [](const auto& l) { return l.lower_bound; })},
      {"noise_floor", findings.noise_floor}};
}

Json drift_json(const TrafficDrift& drift) {
  Json lags = Json::array();
  for (const LagDrift& lag : drift.lags) {
    lags.push_back({{"lag", lag.lag},
                    {"pairs", lag.pairs},
                    {"hot_overlap", lag.hot_overlap},
                    {"chance_overlap", lag.chance_overlap},
                    {"variation", lag.variation},
                    {"sampling_variation", lag.sampling_variation}});
  }
  return {{"hot_set", drift.hot_set},
          {"dispersion_median", median_of(drift.dispersion)},
          {"step_dispersion_median", median_of(drift.step_dispersion)},
          {"largest_step_variation", drift.largest_step_variation},
          {"median_step_variation", drift.median_step_variation},
          {"abrupt_steps", drift.abrupt_steps},
          {"lags", std::move(lags)}};
}

Json layers_json(const Findings& findings) {
  Json json = Json::array();
  for (std::size_t i = 0; i < findings.layers.size(); ++i) {
    const LayerOutlook& layer = findings.layers[i];
    json.push_back({{"layer", layer_id_of(findings.header, i)},
                    {"expert_imbalance", findings.statistics.layers[i].imbalance},
                    {"ranks_now", layer.now},
                    {"ranks_without_redundancy", layer.without},
                    {"ranks_with_slots", layer.with_slots},
                    {"lower_bound", layer.lower_bound},
                    {"excess_share", layer.excess_share},
                    {"dispersion", findings.drift.dispersion[i]}});
  }
  return json;
}

Json backtest_json(const Findings& findings) {
  Json json = Json::array();
  for (std::size_t i = 0; i < findings.lanes.size(); ++i) {
    const BacktestLane& lane = findings.lanes[i];
    const bool timed = lane.habit == Habit::kEvery || lane.habit == Habit::kOracle;
    json.push_back(
        {{"name", lane.name},
         {"interval_steps", timed ? Json(lane.interval) : Json()},
         {"step_seconds",
          {{"mean", lane.blocks.mean().count()},
           {"p50", lane.blocks.quantile(0.5).count()},
           {"p99", lane.blocks.quantile(0.99).count()}}},
         {"balancedness", lane.result.balancedness},
         {"rearranged", lane.result.decisions.rearranged},
         {"exposed_seconds", lane.result.exposed.count()},
         {"bytes_by_link", bytes_by_link_json(lane.result.bytes)},
         {"saving_seconds", i == 0 ? Json() : to_json(findings.diagnosis.outcomes[i - 1].saving)}});
  }
  return json;
}

Json advice_json(const Findings& findings) {
  const Diagnosis& diagnosis = findings.diagnosis;
  const auto number = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json();
  };
  const bool timed = diagnosis.advice == Advice::kDynamic;
  Json json = {{"verdict", name_of(diagnosis.advice)},
               {"interval_steps", timed ? Json(findings.lanes[*diagnosis.lane].interval) : Json()},
               {"firm", diagnosis.firm},
               {"saving_share", number(diagnosis.saving_share)},
               {"windows", diagnosis.windows},
               {"ageing_seconds_per_step_and_step", number(diagnosis.ageing)},
               {"best_interval_steps", number(diagnosis.best_interval)},
               {"objectives", objectives_json(diagnosis.objectives)},
               {"held_out", held_out_json(diagnosis)},
               {"reasons", diagnosis.reasons}};
  return json;
}

Json result_of(const Findings& findings) {
  Json matter = Json::array();
  for (const LayerId layer : layers_that_matter(findings.layers)) {
    matter.push_back(layer_id_of(findings.header, layer.index()));
  }
  return {{"advice", advice_json(findings)},
          {"trace",
           {{"model", findings.header.model},
            {"num_layers", findings.header.num_layers},
            {"num_experts", findings.header.num_experts},
            {"steps", findings.statistics.num_steps}}},
          {"setting",
           {{"ranks", findings.ranks},
            {"nodes", findings.nodes},
            {"slots", findings.slots},
            {"policy", findings.policy},
            {"mode", findings.mode},
            {"tokens_per_step", findings.tokens_per_pass},
            {"repeat", findings.repeat},
            {"warm_up_steps", findings.warm_up}}},
          {"phase",
           {{"guess", name_of(findings.phase.phase)},
            {"stated", findings.phase.stated},
            {"evidence", findings.phase.evidence}}},
          {"imbalance", imbalance_json(findings)},
          {"drift", drift_json(findings.drift)},
          {"layers_that_matter", std::move(matter)},
          {"backtest", backtest_json(findings)},
          {"layers", layers_json(findings)}};
}

std::string setting_text(const Findings& findings) {
  return fmt::format(
      "{}: {} x {}, {}, served as {} of {} each on {}, {}, {}",
      findings.header.model.empty() ? "trace" : findings.header.model,
      counted(findings.header.num_layers, "layer"), counted(findings.header.num_experts, "expert"),
      counted(findings.statistics.num_steps, "recorded step"),
      counted(findings.repeat, "forward pass", "forward passes"),
      counted(static_cast<std::uint64_t>(std::llround(findings.tokens_per_pass)), "token"),
      counted(findings.ranks, "rank"), counted(findings.nodes, "node"),
      counted(findings.slots, "slot"));
}

Table imbalance_table(const Findings& findings) {
  const Json figures = imbalance_json(findings);
  const auto row = [&](const char* name, const char* key, const std::string& meaning) {
    return std::vector<Cell>{Cell::text(name), Cell::decimal(figures.at(key).get<double>(), 3),
                             Cell::text(meaning)};
  };
  return {"how imbalanced",
          {"imbalance", "max / mean", "mean over layers, all steps together"},
          {row("experts", "experts", "hottest expert; below: busiest rank"),
           row("ranks now", "ranks_now", "without rebalancing and slots for it"),
           row("best in as few slots", "ranks_without_redundancy", "with hindsight"),
           row("best, all slots", "ranks_with_slots", "with hindsight"),
           row("lower bound", "lower_bound", "no placement is better"),
           row("noise floor", "noise_floor", "of one forward pass, by chance alone")}};
}

Table lag_table(const TrafficDrift& drift) {
  Table table{"how persistent",
              {"steps apart", "hot that stay", "by chance", "tokens changing", "of that sampling"},
              {}};
  for (const LagDrift& lag : drift.lags) {
    table.rows.push_back({Cell::count(lag.lag), Cell::percent(lag.hot_overlap, 0),
                          Cell::percent(lag.chance_overlap, 0), Cell::percent(lag.variation),
                          Cell::percent(lag.sampling_variation)});
  }
  return table;
}

std::string noise_text(const TrafficDrift& drift) {
  const double overall = median_of(drift.dispersion);
  std::string text = fmt::format(
      "noise: expert loads vary {:.1f} times as much as sampling alone would make them (median "
      "layer; {:.1f} between neighbouring steps)",
      overall, median_of(drift.step_dispersion));
  if (overall > 0 && overall < 1.5) text += ": little but sampling noise";
  if (!drift.abrupt_steps.empty()) {
    text += fmt::format(
        "; abrupt changes before {} {}: {:.0f} % of tokens change expert there, "
        "{:.0f} % at a usual step",
        drift.abrupt_steps.size() == 1 ? "step" : "steps",
        fmt::join(drift.abrupt_steps.begin(),
                  drift.abrupt_steps.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(
                                                   drift.abrupt_steps.size(), 8)),
                  ", "),
        100 * drift.largest_step_variation, 100 * drift.median_step_variation);
  }
  return text;
}

std::string phase_text(const PhaseGuess& phase) {
  return fmt::format("phase: {}{} ({})", name_of(phase.phase),
                     phase.stated || phase.phase == TrafficPhase::kUnknown ? "" : ", a guess",
                     fmt::join(phase.evidence, "; "));
}

Table layer_table(const Findings& findings) {
  const std::vector<LayerId> matter = layers_that_matter(findings.layers);
  Table table{fmt::format("layers that matter: {} of {} have 80 % of what can be avoided",
                          matter.size(), findings.layers.size()),
              {"layer", "share", "ranks now", "best", "bound", "experts", "dispersion"},
              {}};
  for (std::size_t i = 0; i < std::min(matter.size(), kLayersShown); ++i) {
    const std::size_t layer = matter[i].index();
    const LayerOutlook& outlook = findings.layers[layer];
    table.rows.push_back({Cell::count(layer_id_of(findings.header, layer)),
                          Cell::percent(outlook.excess_share), Cell::decimal(outlook.now, 2),
                          Cell::decimal(outlook.with_slots, 2),
                          Cell::decimal(outlook.lower_bound, 2),
                          Cell::decimal(findings.statistics.layers[layer].imbalance, 2),
                          Cell::decimal(findings.drift.dispersion[layer], 1)});
  }
  return table;
}

Cell saving_cell(const PairedDifference& saving, double whole) {
  const auto percent = [&](double seconds) { return 100 * seconds / whole; };
  if (saving.method == IntervalMethod::kNone) {
    return {fixed_with_sign(percent(saving.mean), 1) + " %", round_trip(saving.mean / whole), true};
  }
  return {fmt::format("{} [{}, {}] %", fixed_with_sign(percent(saving.mean), 1),
                      fixed_with_sign(percent(saving.low), 1),
                      fixed_with_sign(percent(saving.high), 1)),
          round_trip(saving.mean / whole), true};
}

Table backtest_table(const Findings& findings) {
  Table table{fmt::format("backtest, out of sample, after {} of warm-up: {}, {}",
                          counted(findings.warm_up, "step"), findings.policy, findings.mode),
              {"plan", "step mean", "p99", "saves [95 %]", "moves", "bytes", "lost per move"},
              {}};
  table.keys = 1;
  const double never = findings.lanes.front().blocks.mean().count();
  for (std::size_t i = 0; i < findings.lanes.size(); ++i) {
    const BacktestLane& lane = findings.lanes[i];
    const bool first = i == 0;
    const HabitOutcome* outcome = first ? nullptr : &findings.diagnosis.outcomes[i - 1];
    table.rows.push_back(
        {Cell::text(lane.habit == Habit::kOracle ? "oracle, free moves" : lane.name),
         Cell::seconds(lane.blocks.mean()), Cell::seconds(lane.blocks.quantile(0.99)),
         first ? Cell::empty() : saving_cell(outcome->saving, never),
         Cell::count(static_cast<std::int64_t>(lane.result.decisions.rearranged)),
         Cell::bytes(
             std::accumulate(lane.result.bytes.begin() + 1, lane.result.bytes.end(), Bytes())),
         first || lane.habit == Habit::kOracle || lane.habit == Habit::kObjective
             ? Cell::empty()
             : Cell::seconds(outcome->rearrangement)});
  }
  return table;
}

Conclusion verdict_of(const Findings& findings) {
  const bool firm = findings.diagnosis.firm;
  return {fmt::format("verdict: {}{}", advice_text(findings), firm ? "" : " (likely, not certain)"),
          firm ? Tone::kGood : Tone::kPlain, findings.diagnosis.reasons};
}

std::string interval_text(const Findings& findings) {
  const Diagnosis& diagnosis = findings.diagnosis;
  if (!diagnosis.best_interval) {
    return "a plan did not lose with age here, so that no best interval follows";
  }
  const bool below = *diagnosis.best_interval < static_cast<double>(findings.repeat);
  return fmt::format(
      "rule of thumb: a plan loses {} per step and step of age, so moving and ageing cost the same "
      "at an interval of sqrt(2 C / a) = {:.0f} steps{}",
      human(Seconds(*diagnosis.ageing)), *diagnosis.best_interval,
      below ? ", which is less than one recorded step and so more than this trace can show" : "");
}

}  // namespace

Json objectives_json(const std::vector<ObjectiveOutcome>& objectives) {
  Json json = Json::array();
  for (const ObjectiveOutcome& one : objectives) {
    json.push_back({{"objective", one.objective}, {"behind_best", to_json(one.behind)}});
  }
  return json;
}

Report diagnosis_report(const Findings& findings) {
  Report report("diagnose", "Is rebalancing worth it here?");
  report.result() = result_of(findings);
  report.note(setting_text(findings));
  if (findings.network) {
    report.result()["network"] = to_json(*findings.network);
    report.note(fmt::format("{}; {:.0f} % of the layers' time is dispatch and combine",
                            network_note(*findings.network, findings.ranks, findings.nodes),
                            100 * findings.network->network_share()));
  }
  report.add(verdict_of(findings));
  if (!findings.lanes.empty()) {
    report.table(backtest_table(findings));
    report.note(interval_text(findings));
  }
  report.table(imbalance_table(findings));
  if (findings.statistics.num_steps > 1) report.note(noise_text(findings.drift));
  if (!findings.drift.lags.empty()) report.table(lag_table(findings.drift));
  report.note(phase_text(findings.phase));
  report.table(layer_table(findings));
  add_diagnose_page(findings, report);
  return report;
}

}  // namespace moeshift::cli
