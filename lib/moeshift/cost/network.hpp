// SPDX-License-Identifier: Apache-2.0
// What a placement makes tokens travel: copies, bytes by class of link, seconds.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/serving_model.hpp"
#include "moeshift/model/load.hpp"

namespace moeshift {

/// What is known beside loads and placement.
struct NetworkQuestion {
  std::size_t top_k = 1;
  /// Rule, silent ranks, and routes where they are known.
  DispatchOptions dispatch = {};
  GroupLimit limit = {};                  ///< for estimates from loads alone
  const ServingModel* serving = nullptr;  ///< prices bytes and seconds; or null
  double steps = 1;                       ///< steps that the loads sum up
  double tokens_per_step = 0;             ///< 0 = the loads' own
};

/// One layer.
struct LayerNetwork {
  LayerCopies copies;
  double least = 0;        ///< no placement needs fewer copies to ranks; 0 = not known
  double least_nodes = 0;  ///< or to nodes
  double tokens = 0;       ///< of a step
  std::array<double, kLinkClasses> dispatch_bytes{};  ///< of a step, where they are priced
  std::array<double, kLinkClasses> combine_bytes{};
  LayerTime time;
};

/// All layers that carry load.
struct NetworkFigures {
  CopiesFrom from = CopiesFrom::kIndependence;  ///< the weakest of all layers
  double copies = 0;                            ///< per token and layer, to ranks: mean over layers
  double node_copies = 0;                       ///< and to nodes
  double least = 0;  ///< certified lower bound on `copies`; 0 = not known
  double least_nodes = 0;
  std::array<double, kLinkClasses> dispatch_bytes{};  ///< of a step, all layers together
  std::array<double, kLinkClasses> combine_bytes{};
  Seconds compute, dispatch, combine, total;  ///< of a step, sums over layers
  std::vector<LayerNetwork> layers;           ///< [layers]; of an idle one all is 0

  /// copies / least - 1; 0 where no bound is known.
  [[nodiscard]] double gap() const { return least > 0 ? copies / least - 1 : 0; }
  /// Share of the layers' time that is spent on dispatch and combine, before any overlap.
  [[nodiscard]] double network_share() const;
};

/// With routes as copies_under() says; without, from loads alone as if experts were chosen
/// independently, which is marked. Bytes: copies * tokens * bytes of a hidden state in the dtype of
/// dispatch or combine; what crosses nodes once per node counts once per node. Bounds need routes.
/// O(layers * (sample * top_k + E^2)).
/// @throws InputError as dispatch_shares().
[[nodiscard]] NetworkFigures network_figures(const LoadMatrix& load, const Placement& placement,
                                             const Topology& topology,
                                             const NetworkQuestion& question,
                                             Threads threads = {1});

}  // namespace moeshift
