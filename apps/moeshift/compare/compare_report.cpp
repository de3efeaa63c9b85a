// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/report/figures.hpp"

#include "apps/moeshift/inputs/by_link.hpp"
#include "apps/moeshift/inputs/plan_shape.hpp"
#include "apps/moeshift/plan/network_report.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Bytes rounded(double bytes) {
  return Bytes(std::llround(bytes));
}

Json bytes_json(const ComparisonRow& row, bool with_bytes) {
  if (!with_bytes) return {};
  std::array<Bytes, kLinkClasses> bytes;
  std::ranges::transform(row.bytes_by_link, bytes.begin(), rounded);
  return bytes_by_link_json(bytes);
}

/// "0.0081 to 0.0163"
Cell interval_cell(const PairedDifference& difference) {
  if (difference.method == IntervalMethod::kNone) return Cell::empty();
  return Cell::text(fmt::format("{} to {}", fixed(difference.low, 4), fixed(difference.high, 4)));
}

std::string names_of(const std::vector<ComparisonRow>& rows,
                     const std::vector<std::size_t>& which) {
  std::vector<std::string> names;
  for (const std::size_t row : which) names.push_back(rows[row].name());
  return fmt::format("{}", fmt::join(names, "; "));
}

/// How much lower `row` is than the reference, window by window.
PairedDifference saved(const std::vector<double>& row, const std::vector<double>& reference) {
  return paired_difference(reference, row);
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Json network_json(const ComparisonRow& row, const ComparisonRow& reference) {
  const NetworkScores& scores = *row.network;
  Json json = {{"train", to_json(scores.train)}, {"test", to_json(scores.test)}};
  Json held_out = {{"windows", scores.copies.size()},
                   {"copies_per_token", scores.copies},
                   {"copies_saved", to_json(saved(scores.copies, reference.network->copies))}};
  if (!scores.layer_seconds.empty()) {
    held_out["layer_seconds"] = scores.layer_seconds;
    held_out["seconds_saved"] =
        to_json(saved(scores.layer_seconds, reference.network->layer_seconds));
  }
  json["held_out"] = std::move(held_out);
  return json;
}

/// "12.3 % (11.0 to 13.6)"
Cell share_cell(const PairedDifference& difference, double whole) {
  if (difference.method == IntervalMethod::kNone) return Cell::percent(difference.mean / whole, 1);
  return Cell::text(fmt::format("{} % ({} to {})", fixed(100 * difference.mean / whole, 1),
                                fixed(100 * difference.low / whole, 1),
                                fixed(100 * difference.high / whole, 1)));
}

}  // namespace

Json to_json(const PairedDifference& difference) {
  const bool known = difference.method != IntervalMethod::kNone;
  return {{"mean", difference.mean},
          {"low", known ? Json(difference.low) : Json()},
          {"high", known ? Json(difference.high) : Json()},
          {"certain", difference.certain()},
          {"pairs", difference.pairs},
          {"block", difference.block},
          {"method", name_of(difference.method)}};
}

Json to_json(const std::vector<ComparisonRow>& rows, const Standings& standings, std::size_t layers,
             bool with_bytes) {
  const auto per_layer = static_cast<double>(layers);
  Json json = Json::array();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ComparisonRow& row = rows[i];
    json.push_back({{"policy", row.policy},
                    {"train", to_json(row.train)},
                    {"test", to_json(row.test)},
                    {"transfers_per_layer", row.transfers / per_layer},
                    {"inter_node_transfers_per_layer", row.transfers_beyond_node / per_layer},
                    {"bytes_by_link", bytes_json(row, with_bytes)},
                    {"predicted_seconds", row.predicted ? Json(row.predicted->count()) : Json()},
                    {"plan_seconds", row.planning.count()},
                    {"name", row.name()},
                    {"slots", row.slots},
                    {"planned_on", row.planned_on},
                    {"held_out",
                     {{"windows", row.scores.size()},
                      {"balancedness_mean", row.mean_score()},
                      {"balancedness_p5", row.low_score()},
                      {"balancedness_worst", row.worst_score()}}},
                    {"difference", to_json(standings.differences[i])},
                    {"pareto", static_cast<bool>(standings.pareto[i])}});
    if (row.network) json.back()["network"] = network_json(row, rows[standings.reference]);
  }
  return json;
}

Json best_json(const std::vector<ComparisonRow>& rows, const Standings& standings) {
  Json tied = Json::array();
  for (const std::size_t row : standings.tied) tied.push_back(rows[row].name());
  const std::optional<std::size_t> second = standings.runner_up;
  return {{"name", rows[standings.best].name()},
          {"runner_up", second ? Json(rows[*second].name()) : Json()},
          {"lead", second ? to_json(standings.behind[*second]) : Json()},
          {"tied_with", std::move(tied)}};
}

Table comparison_table(const std::vector<ComparisonRow>& rows, std::size_t layers,
                       bool with_bytes) {
  Table table{"",
              {"policy", "train", "test", "moves", "inter", "inter bytes", "predicted", "planning"},
              {}};
  for (const ComparisonRow& row : rows) {
    const auto per_layer = static_cast<double>(layers);
    table.rows.push_back(
        {Cell::text(row.name()), Cell::decimal(row.train.balancedness, 4),
         Cell::decimal(row.test.balancedness, 4), Cell::decimal(row.transfers / per_layer, 1),
         Cell::decimal(row.transfers_beyond_node / per_layer, 1),
         with_bytes ? Cell::bytes(rounded(row.bytes_beyond_node())) : Cell::empty(),
         row.predicted ? Cell::seconds(*row.predicted) : Cell::empty(),
         Cell::seconds(row.planning)});
  }
  return table;
}

Table held_out_table(const std::vector<ComparisonRow>& rows, const Standings& standings) {
  Table table{"", {"held-out windows", "mean", "worst", "gain", "95 % interval", "pareto"}, {}};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PairedDifference& difference = standings.differences[i];
    const bool reference = i == standings.reference;
    table.rows.push_back({Cell::text(rows[i].name()), Cell::decimal(rows[i].mean_score(), 4),
                          Cell::decimal(rows[i].worst_score(), 4),
                          reference ? Cell::empty() : Cell::decimal(difference.mean, 4),
                          reference ? Cell::empty() : interval_cell(difference),
                          Cell::text(standings.pareto[i] ? "*" : "-")});
  }
  return table;
}

std::optional<Table> network_table(const std::vector<ComparisonRow>& rows, std::size_t reference) {
  if (!rows[reference].network) return {};
  const NetworkScores& base = *rows[reference].network;
  const bool priced = !base.layer_seconds.empty();
  Table table{"network on held-out steps",
              {"policy", figure("imbalance"), figure("copies_per_token"), "saved (95 % interval)",
               figure("node_copies_per_token")},
              {}};
  if (priced) {
    table.columns.emplace_back(figure("layer_seconds"));
    table.columns.emplace_back("faster (95 % interval)");
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const NetworkScores& scores = *rows[i].network;
    const bool self = i == reference;
    std::vector<Cell> row = {
        Cell::text(rows[i].name()), figure("imbalance")(rows[i].test.imbalance),
        figure("copies_per_token")(scores.test.copies),
        self ? Cell::empty() : share_cell(saved(scores.copies, base.copies), mean_of(base.copies)),
        figure("node_copies_per_token")(scores.test.node_copies)};
    if (priced) {
      row.push_back(figure("layer_seconds")(scores.test.total));
      row.push_back(self ? Cell::empty()
                         : share_cell(saved(scores.layer_seconds, base.layer_seconds),
                                      mean_of(base.layer_seconds)));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Conclusion conclusion_of(const std::vector<ComparisonRow>& rows, const Standings& standings) {
  const ComparisonRow& best = rows[standings.best];
  Conclusion said{fmt::format("best on held-out steps: {}", best.name()),
                  standings.tied.empty() ? Tone::kGood : Tone::kPlain,
                  {}};
  if (!standings.runner_up) {
    said.text += " (nobody else took part)";
    return said;
  }
  const PairedDifference& lead = standings.behind[*standings.runner_up];
  said.text += fmt::format(", {} of balancedness ahead of {}", fixed(lead.mean, 4),
                           rows[*standings.runner_up].name());
  if (lead.method == IntervalMethod::kNone) {
    said.reasons = {"one window cannot say whether that is chance"};
    return said;
  }
  said.reasons = {fmt::format("95 % interval of the lead {} to {} over {}", fixed(lead.low, 4),
                              fixed(lead.high, 4), counted(lead.pairs, "window"))};
  if (standings.tied.empty()) {
    said.text += ": a real difference";
    return said;
  }
  said.text += fmt::format(". Of those that tie {} moves least", rows[standings.thrifty].name());
  said.reasons.push_back(
      fmt::format("these windows cannot tell it from {}", names_of(rows, standings.tied)));
  return said;
}

}  // namespace moeshift::cli
