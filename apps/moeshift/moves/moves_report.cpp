// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/moves/moves_report.hpp"

#include <algorithm>
#include <map>
#include <ostream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/matrix.hpp"
#include "moeshift/report/figures.hpp"

#include "apps/moeshift/inputs/by_link.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kPortClasses = {LinkClass::kIntraNode, LinkClass::kInterNode,
                                     LinkClass::kInterRack};

std::size_t index_of(LinkClass link) {
  return static_cast<std::size_t>(link);
}

std::size_t groups_of(const LayerMoves& layer) {
  std::size_t groups = 0;
  for (const Wave& wave : layer.waves) groups += wave.groups();
  return groups;
}

constexpr std::size_t kRoundsAcross = 7;  // as many as 80 columns take

using RoundKey = std::pair<std::uint32_t, std::uint32_t>;  ///< group, round

/// The rounds first .. last-1 of one class of ports, a row per rank that sends in them.
Table round_table(const std::vector<RoundKey>& rounds, std::size_t first, std::size_t last,
                  const std::vector<const Transfer*>& transfers, const std::string& title) {
  Table table{title, {"rank"}, {}};
  std::map<RoundKey, std::size_t> column_of;
  for (std::size_t i = first; i < last; ++i) {
    column_of[rounds[i]] = table.columns.size();
    table.columns.push_back(fmt::format("g{} r{}", rounds[i].first, rounds[i].second));
  }
  std::map<RankId, std::vector<Cell>> rows;
  for (const Transfer* t : transfers) {
    const auto column = column_of.find({t->group, t->round});
    if (column == column_of.end()) continue;
    std::vector<Cell>& row = rows[t->source];
    if (row.empty()) row.assign(table.columns.size(), Cell::empty());
    row[0] = Cell::count(std::int64_t{t->source.value()});
    row[column->second] =
        Cell::text(fmt::format("{}{}>{}", t->from.kind == Place::Kind::kLive ? "" : "*",
                               t->expert.value(), t->destination.value()));
  }
  for (auto& [rank, row] : rows) table.rows.push_back(std::move(row));
  return table;
}

/// One class of ports: inside nodes, or between them.
void add_round_tables(std::vector<Table>& tables, const Wave& wave, bool inside,
                      const std::string& title) {
  std::vector<const Transfer*> transfers;
  std::vector<RoundKey> rounds;
  for (const Transfer& t : wave.transfers) {
    if ((t.link == LinkClass::kIntraNode) != inside) continue;
    transfers.push_back(&t);
    rounds.emplace_back(t.group, t.round);
  }
  std::sort(rounds.begin(), rounds.end());
  rounds.erase(std::unique(rounds.begin(), rounds.end()), rounds.end());
  for (std::size_t first = 0; first < rounds.size(); first += kRoundsAcross) {
    const std::size_t last = std::min(rounds.size(), first + kRoundsAcross);
    tables.push_back(
        round_table(rounds, first, last, transfers, first == 0 ? title : title + ", more"));
  }
}

}  // namespace

Bytes most_staging(const TransferPlan& plan) {
  const IdVector<RankId, Bytes> bytes = staging_bytes(plan);
  return *std::max_element(bytes.begin(), bytes.end());
}

IdMatrix<RankId, RankId, Bytes> traffic_of(const TransferPlan& plan) {
  IdMatrix<RankId, RankId, Bytes> traffic(plan.ranks, plan.ranks);
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    for (const Wave& wave : plan.layers[i].waves) {
      for (const Transfer& t : wave.transfers) {
        traffic(t.source, t.destination) += plan.size_of(i, t.expert);
      }
    }
  }
  return traffic;
}

std::string human_sizes(const ExpertSizes& sizes) {
  if (sizes.uniform()) return human(sizes.largest());
  return fmt::format("{} (at most {})", human(sizes.mean()), human(sizes.largest()));
}

Json transfers_json(const TransferTotals& totals) {
  Json json;
  for (const LinkClass link : kPortClasses) {
    json[std::string(name_of(link))] = totals.transfers_by_link[index_of(link)];
  }
  return json;
}

Json totals_json(const TransferPlan& plan, const TransferCost& cost) {
  const TransferTotals totals = totals_of(plan);
  Json json = object_of(
      {figure("local_copies")(totals.local_copies), figure("transfers")(totals.transfers)});
  put(json, figure("transfers_by_link"), transfers_json(totals));
  put(json, figure("bytes_by_link"), bytes_by_link_json(totals.bytes_by_link));
  json.update(object_of(
      {figure("rounds")(totals.rounds), figure("staging_bytes_per_rank")(most_staging(plan))}));
  put(json, figure("predicted_seconds"),
      object_of({figure("connection")(cost.connection), figure("stage")(cost.stage),
                 figure("commit")(cost.commit), figure("total")(cost.total),
                 figure("exposed")(cost.exposed)}));
  return json;
}

Json layers_json(const TransferPlan& plan, const TransferCost& cost) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const TransferTotals totals = totals_of(plan, i);
    Json row = object_of({figure("layer")(std::size_t{plan.layers[i].layer.value()}),
                          figure("local_copies")(totals.local_copies),
                          figure("transfers")(totals.transfers)});
    put(row, figure("transfers_by_link"), transfers_json(totals));
    put(row, figure("bytes_by_link"), bytes_by_link_json(totals.bytes_by_link));
    row.update(
        object_of({figure("rounds")(totals.rounds), figure("round_bytes")(totals.round_bytes),
                   figure("groups")(groups_of(plan.layers[i])),
                   figure("waves")(plan.layers[i].waves.size())}));
    put(row, figure("predicted_seconds"),
        object_of({figure("stage")(cost.layers[i].stage), figure("vote")(cost.layers[i].vote),
                   figure("commit")(cost.layers[i].commit)}));
    rows.push_back(std::move(row));
  }
  return rows;
}

Table totals_table(const TransferPlan& plan, const TransferCost& cost) {
  const TransferTotals totals = totals_of(plan);
  Table table{"totals", {"what", "figure"}, {}};
  const auto row = [&](std::string what, Cell figure) {
    table.rows.push_back({Cell::text(std::move(what)), std::move(figure)});
  };
  row("local copies", Cell::count(totals.local_copies));
  row("transfers", Cell::count(totals.transfers));
  for (const LinkClass link : kPortClasses) {
    if (totals.transfers_by_link[index_of(link)] == 0) continue;
    row(fmt::format("  {}", name_of(link)), Cell::bytes(totals.bytes_by_link[index_of(link)]));
  }
  row("rounds", Cell::count(totals.rounds));
  row("staging memory per rank", Cell::bytes(most_staging(plan)));
  row("connecting, predicted", Cell::seconds(cost.connection));
  row("staging, predicted", Cell::seconds(cost.stage));
  row("committing, predicted", Cell::seconds(cost.commit));
  row("total, predicted", Cell::seconds(cost.total));
  row("felt by inference, predicted", Cell::seconds(cost.exposed));
  return table;
}

Table layers_table(const TransferPlan& plan, const TransferCost& cost) {
  Table table{"",
              {"layer", "local", "intra_node", "inter_node", "rounds", "groups", "stage", "commit"},
              {}};
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const TransferTotals totals = totals_of(plan, i);
    const auto& by_link = totals.transfers_by_link;
    table.rows.push_back(
        {Cell::count(std::int64_t{plan.layers[i].layer.value()}), Cell::count(totals.local_copies),
         Cell::count(by_link[index_of(LinkClass::kIntraNode)]),
         Cell::count(by_link[index_of(LinkClass::kInterNode)] +
                     by_link[index_of(LinkClass::kInterRack)]),
         Cell::count(totals.rounds), Cell::count(groups_of(plan.layers[i])),
         Cell::seconds(cost.layers[i].stage), Cell::seconds(cost.layers[i].commit)});
  }
  return table;
}

std::vector<Table> round_tables(const Wave& wave, std::size_t number) {
  std::vector<Table> tables;
  for (const bool inside : {false, true}) {
    add_round_tables(
        tables, wave, inside,
        fmt::format("wave {}, ports {} nodes (expert>to; * handed on; g group, r round)", number,
                    inside ? "inside" : "between"));
  }
  return tables;
}

Json traffic_json(const TransferPlan& plan) {
  const IdMatrix<RankId, RankId, Bytes> traffic = traffic_of(plan);
  Json rows = Json::array();
  for (const RankId source : traffic.row_ids()) {
    Json row = Json::array();
    for (const Bytes bytes : traffic.row(source)) row.push_back(bytes.count());
    rows.push_back(std::move(row));
  }
  return rows;
}

void write_traffic_matrix(std::ostream& out, const TransferPlan& plan) {
  const IdMatrix<RankId, RankId, Bytes> traffic = traffic_of(plan);
  for (const RankId source : traffic.row_ids()) {
    for (const RankId destination : traffic.column_ids()) {
      out << (destination.index() == 0 ? "" : " ") << traffic(source, destination).count();
    }
    out << '\n';
  }
}

}  // namespace moeshift::cli
