// SPDX-License-Identifier: Apache-2.0
#include "moeshift/calibrate/design.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

constexpr Bytes kLargest{std::int64_t{1} << 20};

CopyCalibration copies_at(double rate) {
  return {.latency = Seconds(1e-6), .rate = BytesPerSecond(rate), .terms = {}};
}

/// Two classes of link that have been fitted.
CalibrationDesign fitted_design() {
  CalibrationDesign design;
  design.topology = Topology(8, 2);
  LinkCalibration near{LinkClass::kIntraNode, {}};
  near.fit.launch = Seconds(1e-5);
  near.fit.fabric = BytesPerSecond(4e9);
  LinkCalibration far{LinkClass::kInterNode, {}};
  far.fit.launch = Seconds(3e-5);
  far.fit.fabric = BytesPerSecond(3e9);
  far.fit.wires = BytesPerSecond(2e9);
  design.links = {near, far};
  return design;
}

}  // namespace

TEST_CASE("One node is measured inside, several also between them") {
  CHECK(design_calibration(Topology(4, 1), kLargest).links.size() == 1);
  const CalibrationDesign two = design_calibration(Topology(4, 2), kLargest);
  REQUIRE(two.links.size() == 2);
  CHECK(two.links[0].link == LinkClass::kIntraNode);
  CHECK(two.links[1].link == LinkClass::kInterNode);
  const CalibrationDesign apart = design_calibration(Topology(2, 2), kLargest);
  REQUIRE(apart.links.size() == 1);
  CHECK(apart.links[0].link == LinkClass::kInterNode);
}

TEST_CASE("Copies grow by four from 4 KiB to the largest") {
  const CalibrationDesign design = design_calibration(Topology(2, 1), kLargest);
  REQUIRE(design.copies.size() == 5);
  CHECK(design.copies.front().bytes == Bytes(4096));
  CHECK(design.copies.back().bytes == kLargest);
}

TEST_CASE("Both classes of link begin with the launch; what the farther takes beyond is latency") {
  const MeasuredMachine machine{.copies = copies_at(1e10),
                                .together = copies_at(1e10),
                                .connection = Seconds(2e-3),
                                .vote = Seconds(5e-5)};
  const Cluster cluster = calibrated_cluster({}, fitted_design(), machine);
  CHECK(cluster.fixed.launch.count() == Approx(1e-5));
  CHECK(cluster.intra_node.latency.count() == Approx(0.0));
  CHECK(cluster.inter_node.latency.count() == Approx(2e-5));
  CHECK(cluster.inter_node.node_egress->count() == Approx(2e9));
  CHECK(cluster.node_fabric->count() == Approx(3e9));  // the slower of two figures
  CHECK(cluster.ranks_per_node == 4);
  CHECK(cluster.fixed.connection.count() == Approx(2e-3));
  CHECK_FALSE(cluster.node_copy.has_value());
}

TEST_CASE("Copies that slow each other down share something of the node") {
  const MeasuredMachine machine{.copies = copies_at(1e10),
                                .together = copies_at(4e9),
                                .connection = Seconds(),
                                .vote = Seconds()};
  const Cluster cluster = calibrated_cluster({}, fitted_design(), machine);
  REQUIRE(cluster.node_copy.has_value());
  CHECK(cluster.node_copy->count() == Approx(4 * 4e9));
}

TEST_CASE("A validation is the median and the 95th percentile of how far predictions are off") {
  const std::vector<Seconds> measured(4, Seconds(1.0));
  const Validation validation =
      validation_of({Seconds(1.1), Seconds(0.8), Seconds(1.0), Seconds(1.4)}, measured);
  CHECK(validation.median_error == Approx(0.2));
  CHECK(validation.p95_error == Approx(0.4));
  CHECK(validation.relative_errors[1] == Approx(-0.2));
}
