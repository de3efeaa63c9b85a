// SPDX-License-Identifier: Apache-2.0
// Tokens for tests: any distinct experts, with a taste for some cliques.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/model/routes.hpp"
#include "moeshift/routing/route_summarizer.hpp"

#include "tests/support/random_placement.hpp"

namespace moeshift::test {

struct RoutesShape {
  std::size_t layers = 1;
  std::size_t experts = 8;
  std::size_t top_k = 2;
  std::size_t tokens = 20;
  std::size_t clique = 0;  ///< experts that go together, every clique-th apart; 0 = none do
  std::size_t ranks = 0;   ///< tokens start on; 0 = sources are not recorded
};

inline Routes random_routes(const RoutesShape& shape, Rng& rng) {
  Routes routes;
  routes.num_experts = shape.experts;
  std::vector<std::uint32_t> order(shape.experts);
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t l = 0; l < shape.layers; ++l) {
    LayerRoutes layer;
    layer.top_k = shape.top_k;
    for (std::size_t t = 0; t < shape.tokens; ++t) {
      shuffle(order, rng);
      if (shape.clique > 0) {
        const std::size_t cliques = shape.experts / shape.clique;
        const std::uint32_t home = rng.below(static_cast<std::uint32_t>(cliques));
        std::stable_partition(order.begin(), order.end(),
                              [&](std::uint32_t e) { return e % cliques == home; });
      }
      layer.experts.insert(layer.experts.end(), order.begin(),
                           order.begin() + static_cast<std::ptrdiff_t>(shape.top_k));
      if (shape.ranks > 0) {
        layer.source_rank.push_back(rng.below(static_cast<std::uint32_t>(shape.ranks)));
      }
    }
    routes.layers.push_back(std::move(layer));
  }
  return routes;
}

/// One step a window, as long as they fit.
inline RouteSummary summary_of(const std::vector<Routes>& steps, const SummaryOptions& options = {},
                               Threads threads = {1}) {
  RouteSummary summary;
  summary.model = "test";
  summary.num_experts = steps.front().num_experts;
  summary.top_k = steps.front().layers.front().top_k;
  RouteSummarizer summarizer(summary, steps.front().layers.size(), options);
  for (const Routes& step : steps) summarizer.add(step, threads);
  return std::move(summarizer).take();
}

}  // namespace moeshift::test
