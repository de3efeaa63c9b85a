// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/traces/lift_report.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/report/figures.hpp"
#include "moeshift/routing/lift.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPairs = 100;      ///< in JSON
constexpr std::size_t kShownPairs = 10;  ///< in the table

std::string summary_text(const Lift& lift, const RouteSummary& routes) {
  double best = 0;
  double above = 0;
  double stability = 0;
  for (const LayerLift& layer : lift.layers) {
    best += layer.mean_best;
    above += layer.above_two;
    stability += layer.stability;
  }
  const auto layers = static_cast<double>(lift.layers.size());
  std::string text = fmt::format(
      "experts that go together: an expert and its best partner meet {:.1f} times as often as by "
      "chance; {:.0f} % of all meetings are of pairs that meet twice as often and more",
      best / layers, 100 * above / layers);
  if (routes.windows.size() < 2) return text + "; one window cannot say whether that lasts";
  return text + fmt::format("; stability between the halves {:.2f} (1 = it lasts, 0 = chance)",
                            stability / layers);
}

}  // namespace

void add_lift(const RouteSummary& routes, const TraceHeader& header, Report& report) {
  const Lift lift = lift_of(routes, kPairs);
  Json layers = Json::array();
  for (std::size_t l = 0; l < lift.layers.size(); ++l) {
    const LayerLift& layer = lift.layers[l];
    Json row =
        object_of({figure("layer")(layer_id_of(header, l)), figure("lift")(layer.mean_best)});
    row["share_above_two"] = layer.above_two;
    row.update(object_of({routes.windows.size() > 1 ? figure("lift_stability")(layer.stability)
                                                    : figure("lift_stability").unknown()}));
    std::uint64_t tokens = 0;
    std::size_t sampled = 0;
    for (const RouteWindow& window : routes.windows) {
      tokens += window.layers[l].tokens;
      sampled += window.layers[l].sample.size();
    }
    row["tokens"] = tokens;
    row["sampled_tokens"] = sampled;
    layers.push_back(std::move(row));
  }
  Json pairs = Json::array();
  Table table{"experts that go together",
              {"layer", "expert", "with", "share of tokens", figure("lift")},
              {}};
  for (const ExpertPair& pair : lift.pairs) {
    Json row = object_of({figure("layer")(layer_id_of(header, pair.layer))});
    row["experts"] = {pair.a, pair.b};
    row["share_of_tokens"] = pair.together;
    row.update(object_of({figure("lift")(pair.lift)}));
    pairs.push_back(std::move(row));
    if (table.rows.size() == kShownPairs) continue;
    table.rows.push_back({Cell::count(layer_id_of(header, pair.layer)), Cell::count(pair.a),
                          Cell::count(pair.b), Cell::percent(pair.together, 2),
                          figure("lift")(pair.lift)});
  }
  report.result()["together"] = {{"top_k", routes.top_k},
                                 {"windows", routes.windows.size()},
                                 {"layers", std::move(layers)},
                                 {"pairs", std::move(pairs)}};
  report.note(summary_text(lift, routes));
  report.table(std::move(table));
}

}  // namespace moeshift::cli
