// SPDX-License-Identifier: Apache-2.0
// The machine: how many ranks a node has and what its links can carry.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

class JsonReader;

/// What one class of link can carry. A message of n bytes between two ranks takes at least
/// per_message + n / pair; a port carries at most egress out and ingress in at once.
struct LinkParameters {
  Seconds latency;                             ///< alpha: fixed part of a round over this link
  Seconds per_message;                         ///< each further message of a round, per port
  BytesPerSecond pair;                         ///< one (source, destination) pair on its own
  BytesPerSecond egress;                       ///< one rank sending to many
  BytesPerSecond ingress;                      ///< one rank receiving from many
  std::optional<BytesPerSecond> node_egress;   ///< all ranks of a node together (NICs, PCIe root)
  std::optional<BytesPerSecond> node_ingress;  ///< likewise, inbound
  std::string source;                          ///< where the figures come from
};

/// Costs that no link carries.
struct FixedCosts {
  Seconds launch;      ///< issuing one group of messages
  Seconds connection;  ///< first contact of one pair of ranks
  Seconds vote;        ///< all ranks agreeing that a layer is staged
  Seconds commit;      ///< beginning one commit (of layers that go live together), copies apart
};

/// What a machine file says of the engine it was measured with.
struct EngineCosts {
  std::string transport;  ///< "host", "mpi", "nccl", "ce", "peer", "auto"
  std::size_t ranks = 0;  ///< that took part
  /// Experts of at least this size are messages of their own; smaller ones share one per pair.
  Bytes pack_below;
  /// What a rank gathers for such messages before anything travels; all else is gathered beside
  /// what does. 0 = gathering costs nothing worth a term.
  Bytes gather_first = {};
  /// How much of the time that staging and committing could save by going on at once is saved:
  /// 1 = they do not feel each other, 0 = they share everything.
  double overlap = 1;
  /// How much of the issuing of a batch's groups happens while the batch before is on the wires, if
  /// there is a free set of buffers: 1 = all, 0 = it begins when the wires are idle.
  double launch_ahead = 0;
  /// n copies that go out together cost local_copy_latency * n^copy_power beside their bytes.
  double copy_power = 1;
  Seconds once = {};  ///< per rearrangement, whatever it moves: its beginning, and the last meeting
  std::size_t rearrangements = 0;  ///< held-out ones that it was judged by; 0 = none
  double median_error = 0;         ///< of predicted against measured totals
  double p95_error = 0;
};

struct Cluster {
  std::string name;
  std::string description;
  std::string source;
  std::size_t ranks_per_node = 1;
  std::size_t nodes_per_rack = 0;  ///< 0 = one rack holds all
  Bytes rank_memory;
  BytesPerSecond local_copy;  ///< HBM to HBM on one rank, payload counted once
  Seconds local_copy_latency;
  LinkParameters intra_node;
  LinkParameters inter_node;
  std::optional<LinkParameters> inter_rack;  ///< absent: racks are joined like nodes
  /// Optional fabric inside a node that all its ranks share (PCIe switch, host memory), and what
  /// every message of the node costs it.
  std::optional<BytesPerSecond> node_fabric;
  Seconds node_fabric_per_message;
  /// All ranks of a node copying at once, where they share something (host memory, CPU cores). Then
  /// copies and messages share it too, and nothing is staged beside a commit.
  std::optional<BytesPerSecond> node_copy;
  /// How fast each rank computes, up to a common factor: of every rank of a node, each node alike,
  /// or of every rank of the machine; empty = alike. GPUs of one model differ.
  std::vector<double> rank_speed = {};
  FixedCosts fixed;
  std::optional<EngineCosts> engine;  ///< absent: nobody measured our engine here

  /// @throws InputError for LinkClass::kLocal, which has no port.
  [[nodiscard]] const LinkParameters& link(LinkClass link_class) const;
  /// Ranks in nodes of this machine: ceil(ranks / ranks_per_node) nodes unless `nodes` says.
  /// @throws InputError when they do not fit.
  [[nodiscard]] Topology topology(std::size_t ranks, std::optional<std::size_t> nodes = {}) const;
  /// `rank_speed` of that many ranks; empty = alike. @throws InputError when it is of others.
  [[nodiscard]] std::vector<double> rank_speeds(std::size_t ranks) const;
};

/// Reads a file of configs/clusters; its form is described in docs/configs.md.
/// @throws InputError naming the JSON pointer; one message names all missing and unknown keys.
[[nodiscard]] Cluster read_cluster(const JsonReader& json);

}  // namespace moeshift
