// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/calibrate_rearrangements.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/moeshift/execute/calibrate_report.hpp"

namespace moeshift::cli {
namespace {

double share_of_agreeing_pairs(const std::vector<Seconds>& a, const std::vector<Seconds>& b) {
  double sum = 0;
  double pairs = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = i + 1; k < a.size(); ++k) {
      sum += (a[i] < a[k]) == (b[i] < b[k]) ? 1 : -1;
      pairs += 1;
    }
  }
  return pairs > 0 ? sum / pairs : 1;
}

nlohmann::ordered_json rearrangements_json(const JudgedCases& judged) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const CalibrationCase& ring : judged.cases) {
    for (const std::string& kind : ring.kinds) {
      const Seconds predicted = judged.predicted[rows.size()];
      const Seconds measured = judged.measured[rows.size()];
      rows.push_back({{"mode", name_of(ring.mode)},
                      {"expert_bytes", ring.expert.count()},
                      {"layers", ring.layers()},
                      {"plan", kind},
                      {"predicted_seconds", predicted.count()},
                      {"measured_seconds", measured.count()},
                      {"error", ratio(predicted, measured) - 1}});
    }
  }
  return rows;
}

Table rearrangements_table(const JudgedCases& judged) {
  Table table{
      "held out", {"mode", "expert", "layers", "plan", "predicted", "measured", "error"}, {}};
  for (const CalibrationCase& ring : judged.cases) {
    for (const std::string& kind : ring.kinds) {
      const Seconds predicted = judged.predicted[table.rows.size()];
      const Seconds measured = judged.measured[table.rows.size()];
      table.rows.push_back({Cell::text(std::string(name_of(ring.mode))), Cell::bytes(ring.expert),
                            Cell::count(ring.layers()), Cell::text(kind), Cell::seconds(predicted),
                            Cell::seconds(measured),
                            Cell::percent(ratio(predicted, measured) - 1)});
    }
  }
  return table;
}

/// In the unit that the term's name ends with; a pure number has none.
Cell term_cell(std::string_view name, double value) {
  if (name.ends_with("per_second") || name.ends_with("rates")) {
    return Cell::rate(BytesPerSecond(value));
  }
  return name.ends_with("seconds") ? Cell::seconds(Seconds(value)) : Cell::decimal(value, 2);
}

}  // namespace

void add_engine(Report& report, const EngineFit& engine, const JudgedCases& fitted) {
  Table table{"told by whole rearrangements", {"figure", "probes", "rearrangements", "worth"}, {}};
  nlohmann::ordered_json terms = nlohmann::ordered_json::object();
  for (const EngineTerm& term : engine.terms) {
    table.rows.push_back({Cell::text(term.name), term_cell(term.name, term.before),
                          term_cell(term.name, term.after), Cell::percent(term.worth)});
    terms[term.name] = {{"probes", term.before}, {"value", term.after}, {"worth", term.worth}};
  }
  std::vector<double> sizes;
  for (const double error : engine.relative_errors) sizes.push_back(std::abs(error));
  std::ranges::sort(sizes);
  report.result()["engine"] = {{"rearrangements", sizes.size()},
                               {"median_relative_error", sizes[sizes.size() / 2]},
                               {"terms", terms},
                               {"fitted", rearrangements_json(fitted)}};
  report.note(fmt::format("{} rearrangements fitted, median error {:.1f} %", sizes.size(),
                          100 * sizes[sizes.size() / 2]));
  report.table(std::move(table));
}

Validation add_validation(Report& report, const JudgedCases& unseen) {
  Validation validation = validation_of(unseen.predicted, unseen.measured);
  const double tau = share_of_agreeing_pairs(unseen.predicted, unseen.measured);
  report.result()["validation"] = validation_json(validation);
  report.result()["validation"]["kendall_tau"] = tau;
  report.result()["validation"]["rearrangements"] = rearrangements_json(unseen);
  report.table(rearrangements_table(unseen));
  report.note(fmt::format(
      "held out: {} rearrangements, median error {:.1f} %, 95th percentile {:.1f} %, Kendall tau "
      "{:.3f}",
      unseen.measured.size(), validation.median_error * 100, validation.p95_error * 100, tau));
  const std::vector<std::string> names(unseen.measured.size(), "rearrangement");
  report.add(agreement_chart("What the fit has not seen: predicted against measured", names,
                             unseen.predicted, unseen.measured));
  return validation;
}

}  // namespace moeshift::cli
