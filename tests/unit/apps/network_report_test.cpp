// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/network_report.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/apps/in_report.hpp"

using namespace moeshift;
using namespace moeshift::cli;
using moeshift::test::shown_beside;

namespace {

/// Two layers of which the second is idle; 3 of 4 ranks and 1.5 of 2 nodes a token, bound 2.5.
NetworkFigures figures_of(double copies = 3) {
  NetworkFigures figures;
  figures.from = CopiesFrom::kTokens;
  figures.copies = copies;
  figures.node_copies = 1.5;
  figures.least = 2.5;
  figures.least_nodes = 1.25;
  figures.dispatch_bytes = {1, 20, 300, 4000};
  figures.combine_bytes = {2, 40, 600, 8000};
  figures.compute = Seconds(6);
  figures.dispatch = Seconds(1);
  figures.combine = Seconds(1);
  figures.total = Seconds(7.5);
  figures.layers.resize(2);
  figures.layers[0].copies.by_rank = copies;
  figures.layers[0].copies.by_node = 1.5;
  figures.layers[0].least = 2.5;
  figures.layers[0].tokens = 10;
  figures.layers[0].time.total = Seconds(7.5);
  return figures;
}

NetworkVerdict verdict_of(double copies_before) {
  NetworkVerdict verdict;
  verdict.copies_before = copies_before;
  verdict.node_copies_before = 1.75;
  verdict.seconds_before = Seconds(9);
  verdict.held_out = 0.9;
  verdict.slack = 0.01;
  verdict.persisted = true;
  return verdict;
}

}  // namespace

TEST_CASE("What tokens travel is told in copies, bytes by link, seconds and the bound's gap") {
  const auto json = to_json(figures_of());
  CHECK(json["from"] == "tokens");
  CHECK(json["copies_per_token"] == 3.0);
  CHECK(json["node_copies_per_token"] == 1.5);
  CHECK(json["copies_lower_bound"] == 2.5);
  CHECK(json["node_copies_lower_bound"] == 1.25);
  CHECK(json["copies_gap"].get<double>() == Approx(0.2));
  // What stays in a rank travels over no link.
  CHECK(json["dispatch_bytes"] ==
        nlohmann::ordered_json({{"intra_node", 20}, {"inter_node", 300}, {"inter_rack", 4000}}));
  CHECK(json["combine_bytes"] ==
        nlohmann::ordered_json({{"intra_node", 40}, {"inter_node", 600}, {"inter_rack", 8000}}));
  CHECK(json["seconds"] ==
        nlohmann::ordered_json({{"compute", 6.0}, {"dispatch", 1.0}, {"combine", 1.0}}));
  CHECK(json["layer_seconds"] == 7.5);
  CHECK(json["network_share"] == 0.25);
}

TEST_CASE("Without a bound and without prices the figures are unknown and not 0") {
  NetworkFigures figures = figures_of();
  figures.least = 0;
  figures.total = Seconds();
  const auto json = to_json(figures);
  CHECK(json["copies_lower_bound"].is_null());
  CHECK(json["node_copies_lower_bound"].is_null());
  CHECK(json["copies_gap"].is_null());
  CHECK_FALSE(json.contains("dispatch_bytes"));
  CHECK_FALSE(json.contains("layer_seconds"));
}

TEST_CASE("Layers have the model's own numbers, and idle ones have no row") {
  TraceHeader trace;
  trace.num_layers = 2;
  trace.layer_ids = {3, 5};
  const auto rows = layers_json(figures_of(), {verdict_of(4), {}}, trace);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0]["layer"] == 3);
  CHECK(rows[0]["copies_per_token"] == 3.0);
  CHECK(rows[0]["copies_before"] == 4.0);
  CHECK(rows[0]["layer_seconds"] == 7.5);
  CHECK(rows[0]["layer_seconds_before"] == 9.0);
  CHECK(rows[0]["held_out_ratio"] == 0.9);
  CHECK(rows[0]["slack"] == 0.01);
  CHECK(rows[0]["spared"] == true);
}

TEST_CASE("The table has the plan beside what the policy alone had come to") {
  // The second layer had nothing to plan: it counts in no mean.
  const Table table = network_table(figures_of(), {verdict_of(4), {}}, 2);
  CHECK(shown_beside(table, "copies_per_token") == "3.000");
  CHECK(shown_beside(table, "copies_before") == "4.000");
  CHECK(shown_beside(table, "copies_gap") == "20.0 %");
  CHECK(shown_beside(table, "node_copies_before") == "1.750");
  CHECK(shown_beside(table, "dispatch_bytes") == "4.32 kB");
  CHECK(shown_beside(table, "combine_bytes") == "8.64 kB");
  CHECK(shown_beside(table, "network_share") == "25.0 %");
  CHECK(shown_beside(table, "layer_seconds_before") == "9.00 s");
  CHECK(shown_beside(table, "held_out_ratio") == "0.9000");
  const Table one_node = network_table(figures_of(), {}, 1);
  CHECK(shown_beside(one_node, "node_copies_per_token") == "no row");
  CHECK(shown_beside(one_node, "copies_before") == "no row");
}

TEST_CASE("A sentence says to how many ranks and nodes, and what that rests on") {
  NetworkFigures figures = figures_of();
  CHECK(network_note(figures, 4, 2) ==
        "a token goes to 3.000 of 4 ranks and 1.500 of 2 nodes, counted on sampled tokens");
  figures.from = CopiesFrom::kPairs;
  CHECK(network_note(figures, 4, 1) ==
        "a token goes to 3.000 of 4 ranks, estimated from pairs of experts");
  figures.from = CopiesFrom::kIndependence;
  CHECK_THAT(network_note(figures, 4, 1), test::containing("estimate from loads alone"));
}

TEST_CASE("A frontier's points save copies against its first, the policy alone") {
  Report report("plan");
  add_frontier(
      {{"policy alone", 0, 1.01, 0, figures_of(4)}, {"slack 0.01", 0.01, 1.02, 0.8, figures_of(3)}},
      2, report);
  const auto& rows = report.result().at("frontier");
  REQUIRE(rows.size() == 2);
  CHECK(rows[1]["plan"] == "slack 0.01");
  CHECK(rows[1]["imbalance"] == 1.02);
  CHECK(rows[1]["network"]["copies_per_token"] == 3.0);
  CHECK(rows[1]["held_out_ratio"] == 0.8);
  CHECK_FALSE(rows[0].contains("held_out_ratio"));
  const Table& table = std::get<Table>(report.blocks().at(0));
  CHECK(table.rows[0][3].shown == "0.0 %");
  CHECK(table.rows[1][3].shown == "25.0 %");
  CHECK(table.rows[1].size() == table.columns.size());
}
