// SPDX-License-Identifier: Apache-2.0
// What a plan makes tokens travel that it has not seen.
#pragma once

#include <memory>
#include <vector>

#include "moeshift/cost/network.hpp"
#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

/// The routes of a comparison, where they are known.
struct ComparedRoutes {
  std::shared_ptr<const RouteSummary> train;  ///< what is planned on
  std::shared_ptr<const RouteSummary> test;   ///< held out; judged window by window
  std::shared_ptr<const KnownRoutes> train_known, test_known;  ///< the same, joined
  std::shared_ptr<const ServingModel> serving;                 ///< or null: nothing is priced
  double tokens_per_step = 0;                                  ///< 0 = as recorded
};

/// Of one placement.
struct NetworkScores {
  NetworkFigures train, test;
  std::vector<double> copies;         ///< [held-out windows] per token, to ranks
  std::vector<double> node_copies;    ///< to nodes
  std::vector<double> layer_seconds;  ///< of a step; empty where nothing is priced
};

/// Scores on all training windows together, on all held-out ones, and on each of these.
[[nodiscard]] NetworkScores network_scores(const ComparedRoutes& routes, const Placement& placement,
                                           const Topology& topology, const DispatchOptions& rule,
                                           Threads threads);

}  // namespace moeshift
