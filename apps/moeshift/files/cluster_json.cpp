// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/files/cluster_json.hpp"

#include <nlohmann/json.hpp>

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Json link_json(const LinkParameters& link) {
  Json json = {{"latency_seconds", link.latency.count()},
               {"per_message_seconds", link.per_message.count()},
               {"pair_bytes_per_second", link.pair.count()},
               {"egress_bytes_per_second", link.egress.count()},
               {"ingress_bytes_per_second", link.ingress.count()}};
  if (link.node_egress) json["node_egress_bytes_per_second"] = link.node_egress->count();
  if (link.node_ingress) json["node_ingress_bytes_per_second"] = link.node_ingress->count();
  json["source"] = link.source;
  return json;
}

}  // namespace

Json cluster_json(const Cluster& cluster) {
  Json json = {{"name", cluster.name},
               {"description", cluster.description},
               {"source", cluster.source},
               {"ranks_per_node", cluster.ranks_per_node}};
  if (cluster.nodes_per_rack > 0) json["nodes_per_rack"] = cluster.nodes_per_rack;
  json["rank_memory_bytes"] = cluster.rank_memory.count();
  json["local_copy_bytes_per_second"] = cluster.local_copy.count();
  json["local_copy_latency_seconds"] = cluster.local_copy_latency.count();
  json["intra_node"] = link_json(cluster.intra_node);
  json["inter_node"] = link_json(cluster.inter_node);
  if (cluster.inter_rack) json["inter_rack"] = link_json(*cluster.inter_rack);
  if (cluster.node_fabric) {
    json["node_fabric_bytes_per_second"] = cluster.node_fabric->count();
    json["node_fabric_per_message_seconds"] = cluster.node_fabric_per_message.count();
  }
  if (cluster.node_copy) json["node_copy_bytes_per_second"] = cluster.node_copy->count();
  if (!cluster.rank_speed.empty()) json["rank_speed"] = cluster.rank_speed;
  json["fixed"] = {{"launch_seconds", cluster.fixed.launch.count()},
                   {"connection_seconds", cluster.fixed.connection.count()},
                   {"vote_seconds", cluster.fixed.vote.count()},
                   {"commit_seconds", cluster.fixed.commit.count()}};
  if (cluster.engine) {
    const EngineCosts& engine = *cluster.engine;
    json["engine"] = {{"transport", engine.transport},
                      {"ranks", engine.ranks},
                      {"pack_below_bytes", engine.pack_below.count()},
                      {"overlap", engine.overlap},
                      {"launch_ahead", engine.launch_ahead},
                      {"copy_power", engine.copy_power},
                      {"once_seconds", engine.once.count()}};
    if (engine.gather_first.count() > 0) {
      json["engine"]["gather_first_bytes"] = engine.gather_first.count();
    }
    if (engine.rearrangements > 0) {
      json["engine"]["held_out_rearrangements"] = engine.rearrangements;
      json["engine"]["median_error"] = engine.median_error;
      json["engine"]["p95_error"] = engine.p95_error;
    }
  }
  return json;
}

}  // namespace moeshift::cli
