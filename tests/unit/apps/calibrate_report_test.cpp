// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/calibrate_report.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

ExchangeSample sample_of(const char* pattern, double seconds) {
  ExchangeSample sample;
  sample.pattern = pattern;
  sample.messages = {{RankId(0), RankId(1), Bytes(4096)}};
  sample.times.assign(3, Seconds(seconds));
  return sample;
}

/// Two pairs, 10 % too long and 20 % too short, and a ring that fits.
LinkCalibration link_of(LinkClass link = LinkClass::kIntraNode) {
  LinkCalibration calibration;
  calibration.link = link;
  calibration.samples = {sample_of("pair", 1), sample_of("pair", 2), sample_of("ring 1", 4)};
  calibration.fit.relative_errors = {0.1, -0.2, 0};
  calibration.fit.median_error = 0.1;
  calibration.fit.p95_error = 0.2;
  calibration.fit.terms = {{"launch", 1e-5, 9e-6, 2e-5, 3, true},
                           {"pair", 4e11, 3e11, 5e11, 2, true},
                           {"egress", 8e11, 0, 0, 0, false}};
  return calibration;
}

}  // namespace

TEST_CASE("Each term of a fit is a time or a rate, with its interval and its exchanges") {
  CopyCalibration copies;
  copies.terms = {{"latency", 2e-6, 1e-6, 3e-6, 5, true}};
  const Table table = terms_table({link_of()}, copies, {});
  REQUIRE(table.rows.size() == 4);
  CHECK(table.rows[0][0].shown == "launch");
  CHECK(table.rows[0][1].shown == "10.0 us");
  CHECK(table.rows[0][2].shown == "9.00 us");
  CHECK(table.rows[0][3].shown == "20.0 us");
  CHECK(table.rows[0][4].shown == "3");
  CHECK(table.rows[1][1].shown == "400 GB/s");
  // Nothing was limited by it: no interval, and said to be no more than a least.
  CHECK(table.rows[2][1].shown == "800 GB/s");
  CHECK(table.rows[2][2].shown == "-");
  CHECK_THAT(table.rows[2][5].shown, test::containing("at least"));
  CHECK(table.rows[3][0].shown == "local copy latency");
  CHECK(table.rows[3][1].shown == "2.00 us");
}

TEST_CASE("Terms of several links say of which they are") {
  const Table table = terms_table({link_of(), link_of(LinkClass::kInterNode)}, {}, {});
  CHECK(table.rows[0][0].shown == "intra_node launch");
  CHECK(table.rows[3][0].shown == "inter_node launch");
}

TEST_CASE("Programs read the fit's terms and errors by link") {
  const auto json = links_json({link_of()});
  CHECK(json["intra_node"]["exchanges"] == 3);
  CHECK(json["intra_node"]["median_relative_error"] == 0.1);
  CHECK(json["intra_node"]["p95_relative_error"] == 0.2);
  CHECK(json["intra_node"]["terms"]["pair"] ==
        nlohmann::ordered_json(
            {{"value", 4e11}, {"low", 3e11}, {"high", 5e11}, {"rows", 2}, {"reached", true}}));
}

TEST_CASE("Errors of a fit are gathered by pattern, by their size") {
  const Table table = residuals_table({link_of()});
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0][1].shown == "pair");
  CHECK(table.rows[0][2].shown == "2");
  CHECK(table.rows[0][3].shown == "20.0 %");  // the upper of two
  CHECK(table.rows[0][4].shown == "20.0 %");
  CHECK(table.rows[1][1].shown == "ring 1");
  CHECK(table.rows[1][4].shown == "0.0 %");
}

TEST_CASE("Predicted is measured times one and the error") {
  const Chart chart = fit_chart({link_of()});
  REQUIRE(chart.data.rows.size() == 3);
  CHECK(chart.data.rows[1][0].shown == "pair, intra_node");
  CHECK(chart.data.rows[1][1].raw == "2");
  CHECK(chart.data.rows[1][2].raw == "1.6");
  const Chart errors = errors_chart({link_of()});
  CHECK(errors.data.rows[1][1].shown == "-20.0 %");
}

TEST_CASE("Held-out plans are judged by the size of their errors") {
  const Validation validation = validation_of({Seconds(11), Seconds(8), Seconds(10)},
                                              {Seconds(10), Seconds(10), Seconds(10)});
  const auto json = validation_json(validation);
  CHECK(json["plans"] == 3);
  CHECK(json["median_relative_error"].get<double>() == Approx(0.1));
  CHECK(json["p95_relative_error"].get<double>() == Approx(0.2));
}

TEST_CASE("An exchange is written with its messages and all its times") {
  const auto json = exchanges_json({sample_of("pair", 0.5)});
  CHECK(json[0]["pattern"] == "pair");
  CHECK(json[0]["messages"] == nlohmann::ordered_json::array({{0, 1, 4096}}));
  CHECK(json[0]["seconds"] == nlohmann::ordered_json({0.5, 0.5, 0.5}));
}
