// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/network_report.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/report/figures.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Bytes rounded(double bytes) {
  return Bytes(std::llround(bytes));
}

Json links_json(const std::array<double, kLinkClasses>& bytes) {
  Json json = Json::object();
  for (const LinkClass link :
       {LinkClass::kIntraNode, LinkClass::kInterNode, LinkClass::kInterRack}) {
    json[std::string(name_of(link))] = std::llround(bytes[static_cast<std::size_t>(link)]);
  }
  return json;
}

double sum_of(const std::array<double, kLinkClasses>& bytes, std::size_t first) {
  double sum = 0;
  for (std::size_t link = first; link < kLinkClasses; ++link) sum += bytes[link];
  return sum;
}

struct Before {
  double copies = 0, nodes = 0, held_out = 0;
  Seconds seconds;
  std::size_t planned = 0, persisted = 0;
};

Before before_of(const std::vector<NetworkVerdict>& verdicts) {
  Before before;
  double held_out = 0;
  for (const NetworkVerdict& verdict : verdicts) {
    if (verdict.copies_before <= 0) continue;
    ++before.planned;
    before.copies += verdict.copies_before;
    before.nodes += verdict.node_copies_before;
    before.seconds += verdict.seconds_before;
    if (verdict.persisted) ++before.persisted;
    if (verdict.held_out <= 0) continue;
    before.held_out += verdict.held_out;
    ++held_out;
  }
  if (before.planned == 0) return before;
  before.copies /= static_cast<double>(before.planned);
  before.nodes /= static_cast<double>(before.planned);
  if (held_out > 0) before.held_out /= held_out;
  return before;
}

}  // namespace

Json to_json(const NetworkFigures& figures) {
  Json json = {{"from", name_of(figures.from)}};
  json.update(object_of({figure("copies_per_token")(figures.copies),
                         figure("node_copies_per_token")(figures.node_copies)}));
  const bool bounded = figures.least > 0;
  const auto bound = [&](const FigureValue& value, const FigureValue& unknown) {
    return bounded ? value : unknown;
  };
  json.update(object_of(
      {bound(figure("copies_lower_bound")(figures.least), figure("copies_lower_bound").unknown()),
       bound(figure("node_copies_lower_bound")(figures.least_nodes),
             figure("node_copies_lower_bound").unknown()),
       bound(figure("copies_gap")(figures.gap()), figure("copies_gap").unknown())}));
  if (figures.total <= Seconds()) return json;
  put(json, figure("dispatch_bytes"), links_json(figures.dispatch_bytes));
  put(json, figure("combine_bytes"), links_json(figures.combine_bytes));
  json["seconds"] = {{"compute", figures.compute.count()},
                     {"dispatch", figures.dispatch.count()},
                     {"combine", figures.combine.count()}};
  json.update(object_of(
      {figure("layer_seconds")(figures.total), figure("network_share")(figures.network_share())}));
  return json;
}

Json layers_json(const NetworkFigures& figures, const std::vector<NetworkVerdict>& verdicts,
                 const TraceHeader& trace) {
  Json rows = Json::array();
  for (std::size_t l = 0; l < figures.layers.size(); ++l) {
    const LayerNetwork& layer = figures.layers[l];
    if (layer.tokens <= 0) continue;
    Json row = object_of({figure("layer")(layer_id_of(trace, l)),
                          figure("copies_per_token")(layer.copies.by_rank),
                          figure("node_copies_per_token")(layer.copies.by_node)});
    if (layer.least > 0) row.update(object_of({figure("copies_lower_bound")(layer.least)}));
    if (layer.time.total > Seconds()) {
      row.update(object_of({figure("layer_seconds")(layer.time.total)}));
    }
    if (l < verdicts.size()) {
      const NetworkVerdict& verdict = verdicts[l];
      row.update(object_of({figure("copies_before")(verdict.copies_before)}));
      if (verdict.seconds_before > Seconds()) {
        row.update(object_of({figure("layer_seconds_before")(verdict.seconds_before)}));
      }
      if (verdict.held_out > 0) {
        row.update(object_of({figure("held_out_ratio")(verdict.held_out)}));
      }
      row.update(object_of({figure("slack")(verdict.slack)}));
      row["spared"] = verdict.persisted;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string network_note(const NetworkFigures& figures, std::size_t ranks, std::size_t nodes) {
  std::string text = fmt::format("a token goes to {:.3f} of {} ranks", figures.copies, ranks);
  if (nodes > 1) text += fmt::format(" and {:.3f} of {} nodes", figures.node_copies, nodes);
  if (figures.from == CopiesFrom::kTokens) return text + ", counted on sampled tokens";
  if (figures.from == CopiesFrom::kPairs) return text + ", estimated from pairs of experts";
  return text +
         ", if a token's experts had nothing to do with each other (estimate from loads "
         "alone; --routes tells how it is)";
}

Table network_table(const NetworkFigures& figures, const std::vector<NetworkVerdict>& verdicts,
                    std::size_t nodes) {
  const Before before = before_of(verdicts);
  std::vector<FigureValue> rows = {figure("copies_per_token")(figures.copies)};
  if (before.planned > 0) rows.push_back(figure("copies_before")(before.copies));
  if (figures.least > 0) {
    rows.push_back(figure("copies_lower_bound")(figures.least));
    rows.push_back(figure("copies_gap")(figures.gap()));
  }
  if (nodes > 1) {
    rows.push_back(figure("node_copies_per_token")(figures.node_copies));
    if (before.planned > 0) rows.push_back(figure("node_copies_before")(before.nodes));
    if (figures.least > 0) rows.push_back(figure("node_copies_lower_bound")(figures.least_nodes));
  }
  if (figures.total > Seconds()) {
    rows.push_back(figure("dispatch_bytes")(rounded(sum_of(figures.dispatch_bytes, 1))));
    rows.push_back(figure("combine_bytes")(rounded(sum_of(figures.combine_bytes, 1))));
    rows.push_back(figure("network_share")(figures.network_share()));
    rows.push_back(figure("layer_seconds")(figures.total));
    if (before.seconds > Seconds()) rows.push_back(figure("layer_seconds_before")(before.seconds));
  }
  if (before.held_out > 0) rows.push_back(figure("held_out_ratio")(before.held_out));
  Table table = figure_table(rows);
  table.title = "network";
  return table;
}

void add_frontier(const std::vector<FrontierPoint>& points, std::size_t nodes, Report& report) {
  const bool priced = !points.empty() && points.front().network.total > Seconds();
  Table table{"balance against copies",
              {"plan", figure("imbalance"), figure("copies_per_token"), "saved"},
              {}};
  if (nodes > 1) table.columns.emplace_back(figure("node_copies_per_token"));
  if (priced) table.columns.emplace_back(figure("layer_seconds"));
  table.columns.emplace_back(figure("held_out_ratio"));
  Json rows = Json::array();
  for (const FrontierPoint& point : points) {
    const double saved = 1 - point.network.copies / points.front().network.copies;
    std::vector<Cell> row = {Cell::text(point.name), figure("imbalance")(point.imbalance),
                             figure("copies_per_token")(point.network.copies),
                             Cell::percent(saved, 1)};
    if (nodes > 1) row.push_back(figure("node_copies_per_token")(point.network.node_copies));
    if (priced) row.push_back(figure("layer_seconds")(point.network.total));
    row.push_back(point.held_out > 0 ? figure("held_out_ratio")(point.held_out)
                                     : figure("held_out_ratio").unknown());
    table.rows.push_back(std::move(row));
    Json json = object_of({figure("slack")(point.slack), figure("imbalance")(point.imbalance)});
    json["plan"] = point.name;
    json["network"] = to_json(point.network);
    if (point.held_out > 0) json.update(object_of({figure("held_out_ratio")(point.held_out)}));
    rows.push_back(std::move(json));
  }
  report.result()["frontier"] = std::move(rows);
  report.table(std::move(table));
}

}  // namespace moeshift::cli
