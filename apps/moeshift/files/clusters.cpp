// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/cluster.hpp"
#include "moeshift/report/report.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/files/cluster_json.hpp"
#include "apps/moeshift/files/commands.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;
using NamedLink = std::pair<std::string, const LinkParameters*>;

std::vector<NamedLink> links_of(const Cluster& cluster) {
  std::vector<NamedLink> links = {
      {std::string(name_of(LinkClass::kIntraNode)), &cluster.intra_node},
      {std::string(name_of(LinkClass::kInterNode)), &cluster.inter_node}};
  if (cluster.inter_rack) {
    links.emplace_back(std::string(name_of(LinkClass::kInterRack)), &*cluster.inter_rack);
  }
  return links;
}

Cell optional_rate(const std::optional<BytesPerSecond>& rate) {
  return rate ? Cell::rate(*rate) : Cell::empty();
}

Table overview(const std::vector<Cluster>& clusters) {
  Table table;
  table.columns = {"cluster", "ranks", "memory", "port", "pair", "inter"};
  for (const Cluster& cluster : clusters) {
    table.rows.push_back({Cell::text(cluster.name), Cell::count(cluster.ranks_per_node),
                          Cell::bytes(cluster.rank_memory), Cell::rate(cluster.intra_node.egress),
                          Cell::rate(cluster.intra_node.pair),
                          Cell::rate(cluster.inter_node.egress)});
  }
  return table;
}

Table links_table(const Cluster& cluster) {
  Table table;
  table.title = cluster.name + ": links";
  table.columns = {"link", "latency", "per message", "pair", "egress", "ingress", "node egress"};
  for (const auto& [name, link] : links_of(cluster)) {
    table.rows.push_back({Cell::text(name), Cell::seconds(link->latency),
                          Cell::seconds(link->per_message), Cell::rate(link->pair),
                          Cell::rate(link->egress), Cell::rate(link->ingress),
                          optional_rate(link->node_egress)});
  }
  return table;
}

Table fixed_table(const Cluster& cluster) {
  Table table;
  table.title = cluster.name + ": per rank and per layer";
  table.columns = {"copy latency", "node fabric", "node copy", "launch",
                   "connection",   "vote",        "commit"};
  table.rows.push_back({Cell::seconds(cluster.local_copy_latency),
                        optional_rate(cluster.node_fabric), optional_rate(cluster.node_copy),
                        Cell::seconds(cluster.fixed.launch),
                        Cell::seconds(cluster.fixed.connection), Cell::seconds(cluster.fixed.vote),
                        Cell::seconds(cluster.fixed.commit)});
  return table;
}

void show_in_full(Report& report, const Cluster& cluster) {
  report.note(cluster.name + ": " + cluster.description);
  report.note("source: " + cluster.source);
  report.table(links_table(cluster));
  for (const auto& [name, link] : links_of(cluster)) report.note(name + ": " + link->source);
  report.table(fixed_table(cluster));
}

class Clusters final : public Command {
 public:
  void declare(Options& options) override {
    options.positionals("CLUSTER", names_, "shipped names or files to show in full; none: list all",
                        false);
  }

  ExitCode run(Session& session) override {
    const bool in_full = !names_.empty();
    std::vector<Cluster> clusters;
    for (const std::string& name : in_full ? names_ : session.shipped("clusters")) {
      clusters.push_back(session.load_cluster(name));
    }
    Report report("clusters");
    Json rows = Json::array();
    for (const Cluster& cluster : clusters) rows.push_back(cluster_json(cluster));
    report.result()["clusters"] = std::move(rows);
    report.table(overview(clusters));
    for (const Cluster& cluster : clusters) {
      if (in_full) show_in_full(report, cluster);
    }
    if (!in_full) {
      report.note(
          "ranks: of a node; rates are per rank and direction: port: all peers of the node, pair: "
          "one of them alone, inter: all peers of other nodes. 'moeshift clusters NAME' shows "
          "links, latencies and sources.");
    }
    session.emit(report);
    return ExitCode::kGood;
  }

 private:
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<Command> make_clusters() {
  return std::make_unique<Clusters>();
}

}  // namespace moeshift::cli
