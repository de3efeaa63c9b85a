// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/regression.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/report/figures.hpp"
#include "moeshift/report/metric_path.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSchemaHead = "moeshift.";

std::optional<double> number_in(const Json* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>() ? 1.0 : 0.0;
  if (value->is_number()) return value->get<double>();
  return std::nullopt;
}

Outcome judge_numbers(double baseline, double value, Better better, Tolerance tolerance) {
  const double allowed =
      tolerance.relative ? tolerance.amount * std::abs(baseline) : tolerance.amount;
  const double worsening = better == Better::kHigher ? baseline - value : value - baseline;
  if (std::abs(worsening) <= allowed) return Outcome::kSame;
  if (worsening > 0 || better == Better::kNeither) return Outcome::kWorse;
  return Outcome::kBetter;
}

/// The way a metric should go: as the result declares it, or, in a file of schema /1, as we do.
Better better_in(const Json& envelope, const MetricPath& path) {
  static const Json kNone = Json::object();
  const auto view = envelope.find("view");
  const bool declares = view != envelope.end() && view->contains("figures");
  const Json& declared = declares ? view->at("figures") : kNone;
  for (auto part = path.rbegin(); part != path.rend(); ++part) {
    if (const auto found = declared.find(*part); found != declared.end()) {
      return better_named(found->value("better", ""));
    }
    const Figure* figure = find_figure(*part);
    if (figure != nullptr && !figure->part) return declares ? Better::kNeither : figure->better;
  }
  return Better::kNeither;
}

MetricComparison compare_leaf(const MetricPath& path, Better better, const Json* baseline,
                              const Json* value, Tolerance tolerance) {
  MetricComparison row;
  row.path = join_path(path);
  row.better = better;
  row.tolerance = tolerance;
  row.baseline = number_in(baseline);
  row.value = number_in(value);
  if (baseline != nullptr) row.baseline_text = baseline->dump();
  if (value != nullptr) row.value_text = value->dump();
  if (value == nullptr) {
    row.outcome = Outcome::kMissing;
  } else if (baseline == nullptr) {
    row.outcome = Outcome::kNew;
  } else if (row.baseline && row.value) {
    row.outcome = judge_numbers(*row.baseline, *row.value, row.better, tolerance);
  } else {
    row.outcome = row.baseline_text == row.value_text ? Outcome::kSame : Outcome::kWorse;
  }
  return row;
}

const Json* value_at(const std::vector<MetricLeaf>& leaves, const MetricPath& path) {
  const auto found = std::find_if(leaves.begin(), leaves.end(),
                                  [&](const MetricLeaf& leaf) { return leaf.path == path; });
  return found == leaves.end() ? nullptr : found->value;
}

/// A gate that names nothing in the baseline: a mistyped metric, or a baseline that is too old.
[[noreturn]] void fail_unnamed(const Gate& gate, const std::vector<MetricLeaf>& result,
                               const std::vector<MetricLeaf>& baseline,
                               const std::string& baseline_source) {
  if (!leaves_named(result, split_path(gate.metric)).empty()) {
    throw InputError(baseline_source + "#/result",
                     fmt::format("expected a metric '{}'; make a new baseline", gate.metric));
  }
  std::set<std::string> names;
  for (const MetricLeaf& leaf : baseline) {
    if (!leaf.path.empty()) names.insert(leaf.path.back());
    names.insert(join_path(leaf.path));
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  throw InputError(baseline_source + "#/result", fmt::format("has no metric '{}'{}", gate.metric,
                                                             did_you_mean(gate.metric, known)));
}

}  // namespace

std::optional<double> MetricComparison::relative_change() const {
  if (!baseline || !value || *baseline == 0) return std::nullopt;
  return (*value - *baseline) / std::abs(*baseline);
}

std::string_view name_of(Outcome outcome) {
  static constexpr std::array<std::string_view, 5> kNames = {"better", "same", "worse", "missing",
                                                             "new"};
  return kNames[static_cast<std::size_t>(outcome)];
}

Gate parse_gate(std::string_view text, std::string_view option) {
  const std::size_t equals = text.rfind('=');
  const auto fail = [&]() -> InputError {
    return {std::string(option),
            fmt::format("expected metric=tolerance such as balancedness=0.5%, got '{}'", text)};
  };
  if (equals == std::string_view::npos || equals == 0) throw fail();
  Gate gate{.metric = std::string(text.substr(0, equals)), .tolerance = {}};
  std::string_view amount = text.substr(equals + 1);
  gate.tolerance.relative = amount.ends_with('%');
  if (gate.tolerance.relative) amount.remove_suffix(1);
  const char* end = amount.data() + amount.size();
  const auto [stop, error] = std::from_chars(amount.data(), end, gate.tolerance.amount);
  if (error != std::errc{} || stop != end || !std::isfinite(gate.tolerance.amount) ||
      gate.tolerance.amount < 0) {
    throw fail();
  }
  if (gate.tolerance.relative) gate.tolerance.amount /= 100;
  return gate;
}

std::vector<Gate> default_gates(std::string_view command) {
  constexpr Tolerance kExact = {};
  constexpr Tolerance kTenthPercent = {.amount = 0.001, .relative = true};
  constexpr Tolerance kPercent = {.amount = 0.01, .relative = true};
  if (command == "plan") {
    return {{"metrics.balancedness", kTenthPercent},
            {"metrics.gap_max", {.amount = 0.001, .relative = false}}};
  }
  if (command == "moves") {
    return {{"totals.transfers", kExact},
            {"totals.bytes_by_link.*", kExact},
            {"totals.rounds", kExact},
            {"totals.staging_bytes_per_rank", kExact},
            {"totals.predicted_seconds.total", kPercent}};
  }
  if (command == "compare") {
    return {{"rows.*.train.balancedness", kTenthPercent},
            {"rows.*.test.balancedness", kTenthPercent},
            {"rows.*.transfers_per_layer", kExact},
            {"rows.*.inter_node_transfers_per_layer", kExact}};
  }
  if (command == "execute") return {{"verified", kExact}, {"mismatched_bytes", kExact}};
  if (command == "simulate") {
    return {{"vs_static.throughput_ratio", kPercent},
            {"vs_static.p99_ratio", kPercent},
            {"balancedness", kTenthPercent}};
  }
  if (command == "sweep") {
    return {{"best.name", kExact},
            {"rows.*.vs_static.throughput_ratio", kPercent},
            {"rows.*.vs_static.p99_ratio", kPercent},
            {"rows.*.expert_bytes_per_rank", kExact}};
  }
  if (command == "diagnose") {
    return {{"advice.verdict", kExact},
            {"advice.interval_steps", kExact},
            {"advice.saving_share", {.amount = 0.005, .relative = false}},
            {"backtest.*.balancedness", kTenthPercent}};
  }
  return {};
}

std::string command_of(const Json& envelope, const std::string& source) {
  const JsonReader schema = JsonReader(envelope, source).at("schema");
  const std::string text = schema.string();
  const std::size_t slash = text.rfind('/');
  if (!text.starts_with(kSchemaHead) || slash == std::string::npos) {
    schema.fail("expected a schema such as \"moeshift.plan/2\"");
  }
  const std::string version = text.substr(slash + 1);
  if (version != "1" && version != "2") {
    schema.fail(fmt::format("version {} is not known here: make the result anew", version));
  }
  return text.substr(kSchemaHead.size(), slash - kSchemaHead.size());
}

std::vector<MetricComparison> compare_results(const Json& result, const std::string& result_source,
                                              const Json& baseline,
                                              const std::string& baseline_source,
                                              std::span<const Gate> gates) {
  const std::string wanted = command_of(baseline, baseline_source);
  if (command_of(result, result_source) != wanted) {
    JsonReader(result, result_source)
        .at("schema")
        .fail(fmt::format("expected \"{}\", the schema of {}",
                          baseline.at("schema").get<std::string>(), baseline_source));
  }
  const auto now = leaves_of(JsonReader(result, result_source).at("result").raw());
  const auto before = leaves_of(JsonReader(baseline, baseline_source).at("result").raw());
  std::vector<MetricComparison> rows;
  for (const Gate& gate : gates) {
    const MetricPath pattern = split_path(gate.metric);
    const std::vector<MetricLeaf> named = leaves_named(before, pattern);
    if (named.empty()) fail_unnamed(gate, now, before, baseline_source);
    for (const MetricLeaf& leaf : named) {
      rows.push_back(compare_leaf(leaf.path, better_in(result, leaf.path), leaf.value,
                                  value_at(now, leaf.path), gate.tolerance));
    }
    for (const MetricLeaf& leaf : leaves_named(now, pattern)) {
      if (value_at(before, leaf.path) != nullptr) continue;
      rows.push_back(compare_leaf(leaf.path, better_in(result, leaf.path), nullptr, leaf.value,
                                  gate.tolerance));
    }
  }
  return rows;
}

}  // namespace moeshift
