// SPDX-License-Identifier: Apache-2.0
// How long a step of serving takes, given what was routed and who holds what.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/serving_parameters.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

/// Share of each class of link that something else is using meanwhile, each in [0, 1).
using LinkContention = std::array<double, kLinkClasses>;

/// One layer of one step.
struct LayerTime {
  Seconds compute;   ///< of the busiest rank
  Seconds dispatch;  ///< tokens to experts
  Seconds combine;   ///< results back
  Seconds total;     ///< with layer_fixed, and with what overlaps taken off
  /// Max over ranks of R[l,g] over the rank's speed in units of the mean.
  double busiest_tokens = 0;
  double mean_tokens = 0;  ///< mean over ranks
};

/// The formulae; stateless but for its parameters.
///
/// layer = layer_fixed + compute + communication - overlap * min(compute, communication)
/// compute = max over ranks of max(tokens * expert_per_token, read * expert_floor) / speed, where
/// `read` counts the experts whose weights must be read: sum over slots of min(1, tokens); `speed`
/// is the rank's in units of the mean, and what is not expert waits for the slowest rank.
/// communication = dispatch + combine; each is max over link classes of latency + bytes of the
/// busiest port (rank, node NICs, node fabric) / capacity left.
/// With once_per_node, what crosses nodes is scaled to one copy per token and remote node, for
/// top_k experts chosen evenly: (N - 1) (1 - (1 - 1/N)^top_k) copies instead of top_k (N - 1) / N.
/// Where the shares come from routes (DispatchOptions::routes), a rank is sent one copy of a token
/// however many of its experts it holds, and nodes the copies that these tokens need.
/// step = step_fixed + sum of layers + layers * max(dense_floor, tokens / ranks * dense_per_token).
class ServingModel {
 public:
  /// @param top_k experts per token, to turn (token, expert) pairs into tokens.
  /// @param rank_speed [ranks] up to a common factor; empty = alike.
  /// @throws InputError for speeds that are none, or not one per rank.
  ServingModel(const ServingParameters& parameters, const Cluster& cluster,
               const Topology& topology, std::size_t top_k,
               std::span<const double> rank_speed = {});

  /// The same with tokens starting on `serving` of the ranks only, in `nodes` nodes: the others
  /// have failed or not joined.
  [[nodiscard]] ServingModel among(std::size_t serving, std::size_t nodes) const;

  /// O(slots + ranks).
  /// @param load [experts] (token, expert) pairs of the layer; without any it takes no time, since
  ///        nothing was recorded for it.
  [[nodiscard]] LayerTime layer_time(std::span<const double> load, const LayerDispatch& dispatch,
                                     const LinkContention& contention = {}) const;
  /// What a step costs outside of its MoE layers.
  /// @param pairs (token, expert) pairs of one layer: the step's tokens times top_k.
  [[nodiscard]] Seconds outside_layers(double pairs, std::size_t layers) const;

  /// The (token, expert) pairs that each rank computes, [ranks].
  [[nodiscard]] std::vector<double> rank_tokens(std::span<const double> load,
                                                const LayerDispatch& dispatch) const;

  /// Port time of one copy of a token over a class of link, there and back.
  [[nodiscard]] Seconds per_copy(LinkClass link) const;

  [[nodiscard]] const ServingParameters& parameters() const { return parameters_; }
  [[nodiscard]] const Topology& topology() const { return topology_; }
  [[nodiscard]] std::size_t top_k() const { return top_k_; }
  [[nodiscard]] std::size_t ranks_serving() const { return serving_; }
  /// [ranks] in units of the mean; empty = alike.
  [[nodiscard]] const std::vector<double>& rank_speed() const { return rank_speed_; }

 private:
  struct Traffic;

  [[nodiscard]] double copies_between(std::size_t nodes) const;
  [[nodiscard]] double copies_to_node(const SlotShare& slot) const;
  [[nodiscard]] Seconds exchange(const Traffic& traffic, double bytes, bool out,
                                 const LinkContention& contention) const;

  ServingParameters parameters_;
  std::array<LinkParameters, kLinkClasses> links_;
  std::optional<BytesPerSecond> node_fabric_;
  Topology topology_;
  std::vector<std::size_t> node_of_;
  std::size_t top_k_;
  std::vector<double> rank_speed_;
  std::size_t serving_;              // ranks that tokens start on
  double copies_between_nodes_ = 1;  // per pair that crosses nodes
};

}  // namespace moeshift
