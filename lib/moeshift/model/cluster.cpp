// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/cluster.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

namespace moeshift {
namespace {

Seconds seconds(const JsonReader& json) {
  return Seconds(json.non_negative_number());
}
BytesPerSecond rate(const JsonReader& json) {
  return BytesPerSecond(json.positive_number());
}
std::optional<BytesPerSecond> optional_rate(const JsonReader& json, std::string_view key) {
  const auto found = json.find(key);
  return found ? std::optional(rate(*found)) : std::nullopt;
}

/// Before any value is read, so that one message names every key that is missing or unknown.
void check_keys(const JsonReader& json) {
  static constexpr std::array<std::string_view, 10> kCluster = {"name",
                                                                "description",
                                                                "source",
                                                                "ranks_per_node",
                                                                "rank_memory_bytes",
                                                                "local_copy_bytes_per_second",
                                                                "local_copy_latency_seconds",
                                                                "intra_node",
                                                                "inter_node",
                                                                "fixed"};
  static constexpr std::array<std::string_view, 7> kClusterToo = {"nodes_per_rack",
                                                                  "inter_rack",
                                                                  "node_fabric_bytes_per_second",
                                                                  "node_fabric_per_message_seconds",
                                                                  "node_copy_bytes_per_second",
                                                                  "rank_speed",
                                                                  "engine"};
  static constexpr std::array<std::string_view, 4> kEngine = {"transport", "ranks",
                                                              "pack_below_bytes", "overlap"};
  static constexpr std::array<std::string_view, 7> kEngineToo = {
      "gather_first_bytes",      "launch_ahead", "copy_power", "once_seconds",
      "held_out_rearrangements", "median_error", "p95_error"};
  static constexpr std::array<std::string_view, 6> kLink = {
      "latency_seconds",         "per_message_seconds",      "pair_bytes_per_second",
      "egress_bytes_per_second", "ingress_bytes_per_second", "source"};
  static constexpr std::array<std::string_view, 2> kLinkToo = {"node_egress_bytes_per_second",
                                                               "node_ingress_bytes_per_second"};
  static constexpr std::array<std::string_view, 4> kFixed = {"launch_seconds", "connection_seconds",
                                                             "vote_seconds", "commit_seconds"};
  KeyCheck keys;
  keys.check(json, kCluster, kClusterToo);
  for (const char* link : {"intra_node", "inter_node", "inter_rack"}) {
    if (const auto found = json.find(link)) keys.check(*found, kLink, kLinkToo);
  }
  if (const auto fixed = json.find("fixed")) keys.check(*fixed, kFixed);
  if (const auto engine = json.find("engine")) keys.check(*engine, kEngine, kEngineToo);
  keys.finish();
}

LinkParameters read_link(const JsonReader& json) {
  LinkParameters link;
  link.latency = seconds(json.at("latency_seconds"));
  link.per_message = seconds(json.at("per_message_seconds"));
  link.pair = rate(json.at("pair_bytes_per_second"));
  link.egress = rate(json.at("egress_bytes_per_second"));
  link.ingress = rate(json.at("ingress_bytes_per_second"));
  link.node_egress = optional_rate(json, "node_egress_bytes_per_second");
  link.node_ingress = optional_rate(json, "node_ingress_bytes_per_second");
  link.source = json.at("source").string();
  return link;
}

FixedCosts read_fixed(const JsonReader& json) {
  return {.launch = seconds(json.at("launch_seconds")),
          .connection = seconds(json.at("connection_seconds")),
          .vote = seconds(json.at("vote_seconds")),
          .commit = seconds(json.at("commit_seconds"))};
}

double share(const JsonReader& json) {
  const double value = json.non_negative_number();
  if (value > 1) throw InputError(json.where(), "expected a share in [0, 1]");
  return value;
}

EngineCosts read_engine(const JsonReader& json) {
  EngineCosts engine;
  engine.transport = json.at("transport").string();
  engine.ranks = static_cast<std::size_t>(json.at("ranks").whole(1, 1 << 20));
  engine.pack_below = Bytes(json.at("pack_below_bytes").whole(0));
  if (const auto first = json.find("gather_first_bytes")) {
    engine.gather_first = Bytes(first->whole(0));
  }
  engine.overlap = share(json.at("overlap"));
  if (const auto ahead = json.find("launch_ahead")) engine.launch_ahead = share(*ahead);
  if (const auto power = json.find("copy_power")) engine.copy_power = share(*power);
  if (const auto once = json.find("once_seconds")) engine.once = seconds(*once);
  if (const auto count = json.find("held_out_rearrangements")) {
    engine.rearrangements = static_cast<std::size_t>(count->whole(0));
  }
  if (const auto error = json.find("median_error")) {
    engine.median_error = error->non_negative_number();
  }
  if (const auto error = json.find("p95_error")) engine.p95_error = error->non_negative_number();
  return engine;
}

}  // namespace

const LinkParameters& Cluster::link(LinkClass link_class) const {
  switch (link_class) {
    case LinkClass::kIntraNode:
      return intra_node;
    case LinkClass::kInterNode:
      return inter_node;
    case LinkClass::kInterRack:
      return inter_rack ? *inter_rack : inter_node;
    case LinkClass::kLocal:
      break;
  }
  throw InputError("", "a copy on one rank uses no link");
}

Topology Cluster::topology(std::size_t ranks, std::optional<std::size_t> nodes) const {
  if (ranks == 0) throw InputError("ranks", "expected at least 1");
  const std::size_t node_count = nodes.value_or((ranks + ranks_per_node - 1) / ranks_per_node);
  const std::size_t racks =
      nodes_per_rack == 0 ? 1 : (node_count + nodes_per_rack - 1) / nodes_per_rack;
  return {ranks, node_count, std::max<std::size_t>(racks, 1)};
}

std::vector<double> Cluster::rank_speeds(std::size_t ranks) const {
  if (rank_speed.empty() || rank_speed.size() == ranks) return rank_speed;
  if (rank_speed.size() != ranks_per_node || ranks % ranks_per_node != 0) {
    throw InputError("", fmt::format("machine {}: rank_speed has {} entries; expected one for each "
                                     "of the {} ranks, or of the {} of a node",
                                     name, rank_speed.size(), ranks, ranks_per_node));
  }
  std::vector<double> speed;
  while (speed.size() < ranks) speed.push_back(rank_speed[speed.size() % ranks_per_node]);
  return speed;
}

Cluster read_cluster(const JsonReader& json) {
  check_keys(json);
  Cluster cluster;
  cluster.name = json.at("name").string();
  cluster.description = json.at("description").string();
  cluster.source = json.at("source").string();
  cluster.ranks_per_node = static_cast<std::size_t>(json.at("ranks_per_node").whole(1, 1 << 20));
  if (const auto nodes = json.find("nodes_per_rack")) {
    cluster.nodes_per_rack = static_cast<std::size_t>(nodes->whole(1, 1 << 20));
  }
  cluster.rank_memory = Bytes(json.at("rank_memory_bytes").whole(1));
  cluster.local_copy = rate(json.at("local_copy_bytes_per_second"));
  cluster.local_copy_latency = seconds(json.at("local_copy_latency_seconds"));
  cluster.intra_node = read_link(json.at("intra_node"));
  cluster.inter_node = read_link(json.at("inter_node"));
  if (const auto rack = json.find("inter_rack")) cluster.inter_rack = read_link(*rack);
  cluster.node_fabric = optional_rate(json, "node_fabric_bytes_per_second");
  const auto per_message = json.find("node_fabric_per_message_seconds");
  cluster.node_fabric_per_message =
      per_message ? seconds(*per_message) : cluster.intra_node.per_message;
  cluster.node_copy = optional_rate(json, "node_copy_bytes_per_second");
  if (const auto speeds = json.find("rank_speed")) {
    for (const JsonReader& speed : speeds->items()) {
      cluster.rank_speed.push_back(speed.positive_number());
    }
  }
  cluster.fixed = read_fixed(json.at("fixed"));
  if (const auto engine = json.find("engine")) cluster.engine = read_engine(*engine);
  return cluster;
}

}  // namespace moeshift
