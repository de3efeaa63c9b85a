// SPDX-License-Identifier: Apache-2.0
// moeshift trace info: what a trace holds and whether it is sound.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/number_text.hpp"
#include "moeshift/formats/header_json.hpp"
#include "moeshift/formats/trace_format.hpp"
#include "moeshift/trace/statistics.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/cli/spelled.hpp"
#include "apps/moeshift/inputs/route_inputs.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/traces/commands.hpp"
#include "apps/moeshift/traces/lift_report.hpp"
#include "apps/moeshift/traces/trace_info_page.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kProfileColumns = 20;
constexpr std::size_t kDriftColumns = 40;

/// Mean, 10th and 90th percentile (nearest rank) and maximum over layers.
struct Spread {
  double mean = 0, p10 = 0, p90 = 0, max = 0;
};

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<std::size_t>(
        std::llround(share * static_cast<double>(values.size() - 1)))];
  };
  double sum = 0;
  for (const double value : values) sum += value;
  return {sum / static_cast<double>(values.size()), at(0.1), at(0.9), values.back()};
}

template <class Get>
Spread over_layers(const TraceStatistics& statistics, Get get) {
  std::vector<double> values;
  for (const LayerStatistics& layer : statistics.layers) values.push_back(get(layer));
  return spread_of(std::move(values));
}

/// Means of at most `columns` equal parts.
std::vector<double> averaged(const std::vector<double>& values, std::size_t columns) {
  const std::size_t parts = std::min(columns, values.size());
  std::vector<double> means;
  for (std::size_t i = 0; i < parts; ++i) {
    const std::size_t first = i * values.size() / parts;
    const std::size_t last = (i + 1) * values.size() / parts;
    double sum = 0;
    for (std::size_t j = first; j < last; ++j) sum += values[j];
    means.push_back(sum / static_cast<double>(last - first));
  }
  return means;
}

/// The loads of a layer's experts from the hottest to the coldest.
std::string profile(const LayerStatistics& layer) {
  std::vector<double> loads = layer.expert_load;
  std::sort(loads.begin(), loads.end(), std::greater<>());
  return sparkline(averaged(loads, kProfileColumns));
}

std::vector<Cell> spread_row(const std::string& name, const Spread& spread, int digits,
                             const std::string& meaning) {
  return {Cell::text(name),
          Cell::decimal(spread.mean, digits),
          Cell::decimal(spread.p10, digits),
          Cell::decimal(spread.p90, digits),
          Cell::decimal(spread.max, digits),
          Cell::text(meaning)};
}

Table spread_table(const TraceStatistics& statistics) {
  Table table{"over layers", {"figure", "mean", "p10", "p90", "max", "meaning"}, {}};
  const auto add = [&](const std::string& name, int digits, const std::string& meaning, auto get) {
    table.rows.push_back(spread_row(name, over_layers(statistics, get), digits, meaning));
  };
  add("imbalance", 2, "hottest / mean expert", [](const auto& l) { return l.imbalance; });
  add("gini", 3, "0 equal, 1 one takes all", [](const auto& l) { return l.gini; });
  add("cv", 2, "standard deviation / mean", [](const auto& l) { return l.cv; });
  add("step imbalance", 2, "the same step by step", [](const auto& l) { return l.step_imbalance; });
  if (statistics.drift.empty()) return table;
  add("step change", 3, "tokens that change expert",
      [](const auto& l) { return l.step_variation; });
  add("hot overlap", 2, fmt::format("hottest {} that stay", statistics.hot_set),
      [](const auto& l) { return l.step_hot_overlap; });
  return table;
}

Table layer_table(const TraceHeader& header, const TraceStatistics& statistics) {
  Table table{"each layer",
              {"layer", "imbalance", "gini", "cv", "change", "overlap", "hottest to coldest"},
              {}};
  for (std::size_t l = 0; l < statistics.layers.size(); ++l) {
    const LayerStatistics& layer = statistics.layers[l];
    table.rows.push_back({Cell::count(layer_id_of(header, l)), Cell::decimal(layer.imbalance, 2),
                          Cell::decimal(layer.gini, 3), Cell::decimal(layer.cv, 2),
                          Cell::decimal(layer.step_variation, 3),
                          Cell::decimal(layer.step_hot_overlap, 2), Cell::text(profile(layer))});
  }
  return table;
}

Json spread_json(const Spread& spread) {
  return {{"mean", spread.mean}, {"p10", spread.p10}, {"p90", spread.p90}, {"max", spread.max}};
}

Json layers_json(const TraceHeader& header, const TraceStatistics& statistics) {
  Json rows = Json::array();
  for (std::size_t l = 0; l < statistics.layers.size(); ++l) {
    const LayerStatistics& layer = statistics.layers[l];
    rows.push_back({{"layer", layer_id_of(header, l)},
                    {"assignments", layer.tokens},
                    {"imbalance", layer.imbalance},
                    {"gini", layer.gini},
                    {"cv", layer.cv},
                    {"idle_experts", layer.idle_experts},
                    {"step_imbalance", layer.step_imbalance},
                    {"step_variation", layer.step_variation},
                    {"step_hot_overlap", layer.step_hot_overlap}});
  }
  return rows;
}

Json result_of(const TraceHeader& header, const TraceStatistics& statistics) {
  Json result = {{"trace", header_json(header)},
                 {"steps", statistics.num_steps},
                 {"tokens", statistics.tokens ? Json(*statistics.tokens) : Json(nullptr)},
                 {"hot_set", statistics.hot_set}};
  const auto add = [&](const char* key, auto get) {
    result[key] = spread_json(over_layers(statistics, get));
  };
  add("imbalance", [](const auto& l) { return l.imbalance; });
  add("gini", [](const auto& l) { return l.gini; });
  add("cv", [](const auto& l) { return l.cv; });
  add("step_imbalance", [](const auto& l) { return l.step_imbalance; });
  add("step_variation", [](const auto& l) { return l.step_variation; });
  add("step_hot_overlap", [](const auto& l) { return l.step_hot_overlap; });
  result["layers"] = layers_json(header, statistics);
  result["drift"] = Json::array();
  for (const StepDrift& drift : statistics.drift) {
    result["drift"].push_back({{"variation", drift.variation}, {"hot_overlap", drift.hot_overlap}});
  }
  result["warnings"] = Json::array();
  for (const TraceWarning& warning : statistics.warnings) {
    result["warnings"].push_back(
        {{"kind", warning.kind}, {"text", warning.text}, {"advice", spelled(warning.advice)}});
  }
  return result;
}

class TraceInfo final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    options.option("--windows", windows_, "steps to look at, as first:last (last not included)");
    options.option("--routes", routes_path_,
                   "which experts tokens choose together, where the trace has no tokens: a "
                   "summary of `trace routes`, or a recording of tokens");
    options.flag("--summary", summary_, "leave out the row per layer");
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    TraceHeader header;
    std::vector<double> step_loads;
    const TraceStatistics statistics = read(session, header, step_loads);
    if (routes_path_) {
      if (together_) throw InputError("--routes", "the trace has tokens itself; leave it out");
      together_ = read_routes(session, *routes_path_, trace_, {});
      if (together_->num_layers() != header.num_layers ||
          together_->num_experts != header.num_experts) {
        throw InputError(*routes_path_,
                         fmt::format("expected routes of {} layers x {} experts, as the trace has, "
                                     "got {} x {}",
                                     header.num_layers, header.num_experts, together_->num_layers(),
                                     together_->num_experts));
      }
    }
    report(session, header, statistics, step_loads);
    return ExitCode::kGood;
  }

 private:
  /// The input is closed before the report, which names it with its hash.
  TraceStatistics read(Session& session, TraceHeader& header, std::vector<double>& step_loads) {
    const StepRange range = parse_step_range(windows_, "--windows");
    const std::string name = trace_.name();
    const auto reader = trace_.open(session);
    header = reader->header();
    TraceObserver observer(header);
    std::optional<RouteSummarizer> routes;
    if (reader->has_routes()) routes = summarizer_for(header);
    const std::size_t seen = observe(*reader, range, observer, step_loads,
                                     routes ? &*routes : nullptr, session.threads());
    TraceStatistics statistics = observer.finish();
    if (statistics.num_steps == 0 || (range.last && seen < *range.last)) {
      throw InputError(name, fmt::format("expected steps {}, but the trace has {} steps",
                                         to_string(range), seen));
    }
    if (routes) together_ = std::move(*routes).take();
    return statistics;
  }

  /// @return the steps read, wanted or not
  static std::size_t observe(TraceReader& reader, const StepRange& range, TraceObserver& observer,
                             std::vector<double>& step_loads, RouteSummarizer* routes,
                             Threads threads) {
    TraceStep step;
    std::size_t position = 0;
    while ((!range.last || position < *range.last) && reader.next(step)) {
      if (range.contains(position)) {
        observer.add(step);
        if (routes != nullptr) routes->add(*reader.step_routes(), threads);
        double load = 0;
        for (const LayerId layer : step.load.row_ids()) load += layer_total(step.load, layer);
        step_loads.push_back(load);
      }
      ++position;
    }
    return position;
  }

  void report(Session& session, const TraceHeader& header, const TraceStatistics& statistics,
              const std::vector<double>& step_loads) const {
    Report report("trace_info", "What was recorded");
    report.result() = result_of(header, statistics);
    report.note(header.model.empty() ? trace_.name() : header.model);
    report.note(shape_text(header, statistics));
    report.table(spread_table(statistics));
    if (!summary_) report.table(layer_table(header, statistics));
    if (!statistics.drift.empty()) report.note(drift_text(statistics));
    if (together_) add_lift(*together_, header, report);
    for (const TraceWarning& warning : statistics.warnings) {
      report.note(fmt::format("warning: {}\n  -> {}", warning.text, spelled(warning.advice)));
    }
    add_trace_page(header, statistics, step_loads, report);
    session.emit(report);
  }

  static std::string shape_text(const TraceHeader& header, const TraceStatistics& statistics) {
    std::string text =
        fmt::format("{} x {}, {}", counted(header.num_layers, "layer"),
                    counted(header.num_experts, "expert"), counted(statistics.num_steps, "step"));
    if (header.top_k) text += fmt::format(", top-{}", *header.top_k);
    if (header.num_expert_groups.value_or(1) > 1)
      text += fmt::format(", {} groups", *header.num_expert_groups);
    if (statistics.tokens) {
      text += ", " + counted(static_cast<std::uint64_t>(std::llround(*statistics.tokens)), "token");
    }
    return text;
  }

  static std::string drift_text(const TraceStatistics& statistics) {
    std::vector<double> variation;
    for (const StepDrift& drift : statistics.drift) variation.push_back(drift.variation);
    const double largest = *std::max_element(variation.begin(), variation.end());
    return fmt::format("change from step to step, 0 to {:.3f}: {}", largest,
                       sparkline(averaged(variation, kDriftColumns)));
  }

  TraceInputs trace_;
  std::string windows_ = ":";
  bool summary_ = false;
  std::optional<std::string> routes_path_;
  std::optional<RouteSummary> together_;
};

}  // namespace

std::unique_ptr<Command> make_trace_info() {
  return std::make_unique<TraceInfo>();
}

}  // namespace moeshift::cli
