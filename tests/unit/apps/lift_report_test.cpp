// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/traces/lift_report.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

constexpr std::uint32_t kTokens = 150;

/// Four experts, two a token: 0 goes with 1 and 2 with 3, each pair in 150 tokens.
RouteWindow window_of_pairs() {
  LayerTogether layer;
  layer.tokens = 2 * kTokens;
  layer.pairs = PairCounts(4);
  for (std::size_t expert = 0; expert < 4; ++expert) layer.pairs.add(expert, expert, kTokens);
  layer.pairs.add(0, 1, kTokens);
  layer.pairs.add(2, 3, kTokens);
  RouteWindow window;
  window.steps = 1;
  window.layers = {layer};
  return window;
}

Report lift_in(std::size_t windows) {
  RouteSummary routes;
  routes.num_experts = 4;
  routes.top_k = 2;
  routes.windows.assign(windows, window_of_pairs());
  TraceHeader header;
  header.num_layers = 1;
  header.layer_ids = {7};
  Report report("trace info");
  add_lift(routes, header, report);
  return report;
}

}  // namespace

TEST_CASE("Pairs that always go together have their lift, their share and their layer's number") {
  const Report report = lift_in(2);
  const auto& together = report.result().at("together");
  CHECK(together.at("windows") == 2);
  CHECK(together.at("top_k") == 2);
  // By chance each of the six pairs would meet in a third of an expert's 300 tokens.
  const double lift = (300.0 + 1) / (100.0 + 1);
  const auto& layer = together.at("layers").at(0);
  CHECK(layer.at("layer") == 7);
  CHECK(layer.at("lift").get<double>() == Approx(lift));
  CHECK(layer.at("share_above_two") == 1.0);
  CHECK(layer.at("lift_stability").get<double>() == Approx(1));
  CHECK(layer.at("tokens") == 600);
  REQUIRE(together.at("pairs").size() == 2);
  CHECK(together.at("pairs").at(1).at("experts") == nlohmann::ordered_json({2, 3}));
  CHECK(together.at("pairs").at(1).at("share_of_tokens") == 0.5);
  CHECK(together.at("pairs").at(1).at("lift").get<double>() == Approx(lift));

  REQUIRE(report.blocks().size() == 2);
  const Table& table = std::get<Table>(report.blocks()[1]);
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0][0].raw == "7");
  CHECK(table.rows[0][1].raw == "0");
  CHECK(table.rows[0][2].raw == "1");
  CHECK(table.rows[0][3].shown == "50.00 %");
  CHECK(table.rows[0][4].shown == "2.98");
}

TEST_CASE("One window cannot say whether it lasts") {
  const Report one = lift_in(1);
  CHECK(one.result().at("together").at("layers").at(0).at("lift_stability").is_null());
}
