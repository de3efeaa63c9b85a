// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/synthetic_routes.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/trace_format.hpp"
#include "moeshift/routing/lift.hpp"
#include "moeshift/trace/window.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

RouteSummary summary_of(const SyntheticRoutes& options) {
  const auto trace = trace_of(make_synthetic_routes(options));
  return summarised(*trace, "synthetic", {1});
}

}  // namespace

TEST_CASE("pairs within a clique are chosen together as often as the closed form says") {
  for (const double affinity : {0.0, 0.3, 0.7, 1.0}) {
    for (const std::size_t top_k : {2U, 4U, 6U}) {
      INFO("affinity " << affinity << ", top-" << top_k);
      SyntheticRoutes options{.num_layers = 1,
                              .num_experts = 16,
                              .top_k = top_k,
                              .num_steps = 4,
                              .tokens_per_step = 20000,
                              .clique = 4,
                              .affinity = affinity};
      const auto layers = joined_windows(summary_of(options));
      const auto clique = cliques_at(options, 0, 0);
      std::vector<double> counted(4, 0);
      for (std::size_t a = 0; a < 16; ++a) {
        for (std::size_t b = a + 1; b < 16; ++b) {
          if (clique[a] == clique[b]) counted[clique[a]] += layers[0].pairs(a, b) / 6.0;
        }
      }
      for (std::size_t home = 0; home < 4; ++home) {
        const double expected = clique_pair_chance(options, home);
        REQUIRE(counted[home] / static_cast<double>(layers[0].tokens) ==
                Approx(expected).epsilon(0.05).margin(3e-4));
      }
    }
  }
}

TEST_CASE("tokens choose distinct experts, and equal options give equal routes") {
  SyntheticRoutes options{.num_layers = 2, .num_experts = 12, .top_k = 5, .clique = 3};
  options.drift = 0.3;
  options.domain_changes = {4};
  const auto a = make_synthetic_routes(options);
  const auto b = make_synthetic_routes(options);
  Routes x;
  Routes y;
  while (a->next(x)) {
    REQUIRE(b->next(y));
    for (std::size_t l = 0; l < 2; ++l) {
      REQUIRE(x.layers[l].experts == y.layers[l].experts);
      for (std::size_t i = 0; i < x.layers[l].rows(); ++i) {
        const auto row = x.layers[l].row(i);
        REQUIRE(std::set<std::uint32_t>(row.begin(), row.end()).size() == 5);
        REQUIRE(*std::max_element(row.begin(), row.end()) < 12);
      }
    }
  }
}

TEST_CASE("lift lasts without drift, and not over a change of domain") {
  SyntheticRoutes options{.num_layers = 1, .num_experts = 32, .top_k = 4, .num_steps = 8};
  const Lift lasting = lift_of(summary_of(options), 20);
  REQUIRE(lasting.layers[0].stability > 0.9);
  REQUIRE(lasting.layers[0].mean_best > 3);
  const auto clique = cliques_at(options, 0, 0);
  for (const ExpertPair& pair : lasting.pairs) REQUIRE(clique[pair.a] == clique[pair.b]);
  options.domain_changes = {4};
  REQUIRE(lift_of(summary_of(options), 20).layers[0].stability < 0.3);
  options.affinity = 4.0 / 32;  // by chance alone
  options.skew = 0;
  REQUIRE(lift_of(summary_of(options), 20).layers[0].mean_best < 1.5);
}

TEST_CASE("routes that are written are read back") {
  SyntheticRoutes options{.num_layers = 2, .num_steps = 2, .tokens_per_step = 50};
  std::stringstream file;
  write_route_lines(*make_synthetic_routes(options), file);
  TraceReadOptions read;
  read.tokens_per_step = 50;
  const auto reader = open_trace(file, "routes.jsonl", "auto", read);
  REQUIRE(reader->has_routes());
  REQUIRE(summarised(*reader, "routes", {1}).windows == summary_of(options).windows);
}

TEST_CASE("options of routes that make no sense are refused") {
  const auto refused = [](const SyntheticRoutes& options) {
    REQUIRE_THROWS_AS(make_synthetic_routes(options), InputError);
  };
  refused({.num_experts = 32, .clique = 5});
  refused({.num_experts = 4, .top_k = 5});
  refused({.affinity = 1.5});
  refused({.skew = -1});
  refused({.drift = 2});
}
