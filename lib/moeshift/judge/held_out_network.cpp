// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/held_out_network.hpp"

namespace moeshift {
namespace {

NetworkFigures score(const ComparedRoutes& routes, const RouteSummary& summary,
                     const KnownRoutes& known, const Placement& placement, const Topology& topology,
                     const DispatchOptions& rule, Threads threads) {
  NetworkQuestion question{.top_k = summary.top_k,
                           .dispatch = rule,
                           .limit = {},
                           .serving = routes.serving.get(),
                           .steps = 0,
                           .tokens_per_step = routes.tokens_per_step};
  question.dispatch.routes = &known;
  for (const RouteWindow& window : summary.windows) {
    question.steps += static_cast<double>(window.steps);
  }
  return network_figures(loads_of(summary), placement, topology, question, threads);
}

}  // namespace

NetworkScores network_scores(const ComparedRoutes& routes, const Placement& placement,
                             const Topology& topology, const DispatchOptions& rule,
                             Threads threads) {
  NetworkScores scores;
  scores.train =
      score(routes, *routes.train, *routes.train_known, placement, topology, rule, threads);
  scores.test = score(routes, *routes.test, *routes.test_known, placement, topology, rule, threads);
  for (const RouteWindow& window : routes.test->windows) {
    const RouteSummary& all = *routes.test;
    const RouteSummary one{all.model,        all.num_experts, all.top_k,
                           all.sample_limit, all.layer_ids,   {window}};
    const KnownRoutes known{one.top_k, window.layers};
    const NetworkFigures figures = score(routes, one, known, placement, topology, rule, threads);
    scores.copies.push_back(figures.copies);
    scores.node_copies.push_back(figures.node_copies);
    if (routes.serving) scores.layer_seconds.push_back(figures.total.count());
  }
  return scores;
}

}  // namespace moeshift
