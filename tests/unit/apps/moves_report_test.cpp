// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/moves/moves_report.hpp"

#include <sstream>

#include <nlohmann/json.hpp>

#include "apps/moeshift/moves/moves_page.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/apps/in_report.hpp"
#include "tests/unit/apps/small_rearrangement.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

nlohmann::ordered_json totals(bool synchronous) {
  const TransferPlan plan = test::small_plan();
  CostOptions options;
  options.synchronous = synchronous;
  return totals_json(plan, price(plan, Topology(2, 1), test::small_cluster(), options));
}

}  // namespace

TEST_CASE("Totals of a rearrangement count transfers, bytes and rounds") {
  const nlohmann::ordered_json json = totals(true);
  CHECK(json["transfers"] == 2);
  CHECK(json["local_copies"] == 0);
  CHECK(json["rounds"] == 1);
  CHECK(json["transfers_by_link"]["intra_node"] == 2);
  CHECK(json["transfers_by_link"]["inter_node"] == 0);
  CHECK(json["bytes_by_link"]["intra_node"] == 2 * test::kExpert.count());
  CHECK(json["staging_bytes_per_rank"] == test::kExpert.count());
}

TEST_CASE("In a stop serving waits for the whole move, beside serving for commits alone") {
  const nlohmann::ordered_json stop = totals(true)["predicted_seconds"];
  CHECK(stop["stage"].get<double>() == Approx(1e-3));
  CHECK(stop["commit"].get<double>() == Approx(1e-4).epsilon(0.2));
  CHECK(stop["exposed"] == stop["total"]);
  const nlohmann::ordered_json beside = totals(false)["predicted_seconds"];
  CHECK(beside["exposed"] == beside["commit"]);
  CHECK(beside["exposed"].get<double>() < beside["total"].get<double>() / 2);
}

TEST_CASE("The traffic matrix has a row per source and a column per destination") {
  std::ostringstream text;
  write_traffic_matrix(text, test::small_plan());
  const nlohmann::ordered_json traffic = traffic_json(test::small_plan());
  CHECK(traffic == nlohmann::ordered_json::array({{0, 1'000'000}, {1'000'000, 0}}));
  CHECK(text.str().find("1000000") != std::string::npos);
}

namespace {

/// A price whose parts cannot be taken for each other.
TransferCost told_apart() {
  TransferCost cost = price(test::small_plan(), Topology(2, 1), test::small_cluster());
  cost.connection = Seconds(1);
  cost.stage = Seconds(2);
  cost.commit = Seconds(3);
  cost.total = Seconds(6);
  cost.exposed = Seconds(4);
  return cost;
}

}  // namespace

TEST_CASE("The table of totals has every part of the price in a row of its own") {
  const Table table = totals_table(test::small_plan(), told_apart());
  const auto shown = [&](const char* what) { return test::shown_beside(table, what); };
  CHECK(shown("transfers") == "2");
  CHECK(shown("rounds") == "1");
  CHECK(shown("connecting, predicted") == "1.00 s");
  CHECK(shown("staging, predicted") == "2.00 s");
  CHECK(shown("committing, predicted") == "3.00 s");
  CHECK(shown("total, predicted") == "6.00 s");
  CHECK(shown("felt by inference, predicted") == "4.00 s");
}

TEST_CASE("The page's figures are those of the table") {
  Report report("moves");
  add_moves_page(test::small_plan(), told_apart(), report);
  const Tiles& tiles = test::block_in<Tiles>(report);
  const auto shown = [&](const std::string& label) -> std::string {
    for (const Tile& tile : tiles.items) {
      if (tile.label == label) return tile.value.shown;
    }
    return "no tile";
  };
  CHECK(shown("transfers") == "2");
  CHECK(shown("rounds") == "1");
  CHECK(shown("predicted") == "6.00 s");
  CHECK(shown("felt by inference") == "4.00 s");
}
