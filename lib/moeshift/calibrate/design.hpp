// SPDX-License-Identifier: Apache-2.0
// What a calibration measures, and the machine that comes of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/calibrate/calibration.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

/// The exchanges of one class of link, and what was fitted to them.
struct LinkCalibration {
  LinkClass link = LinkClass::kIntraNode;
  std::vector<ExchangeSample> samples;
  Calibration fit = {};
};

/// Everything that is run, without times.
struct CalibrationDesign {
  Topology topology{1, 1};
  std::vector<LinkCalibration> links;  ///< from near to far: those that the topology has
  std::vector<CopySample> copies;      ///< inside a rank, 4 KiB to the largest
};

/// The links of one node, those between nodes where there are several, and copies.
/// @param topology of at least two ranks.
[[nodiscard]] CalibrationDesign design_calibration(const Topology& topology, Bytes largest);

/// Fits every class of link to its samples, which have times by now.
void fit_links(CalibrationDesign& design);

/// Copies that all ranks make at once, of the sizes that take longer than agreeing on the start.
/// @param times as design.copies.
[[nodiscard]] CopyCalibration fit_copies_together(const CalibrationDesign& design,
                                                  const std::vector<std::vector<Seconds>>& times);

/// What was measured of a machine.
struct MeasuredMachine {
  CopyCalibration copies;    ///< one rank at a time
  CopyCalibration together;  ///< all ranks at once
  Seconds connection;        ///< of one pair of ranks
  Seconds vote;
};

/// `base` with every figure that was measured in its place; names and sources are the caller's.
///
/// What one class of link alone cannot tell apart, two can: both begin with the launch, and what a
/// message between nodes takes beyond it is its latency. One fabric carries what stays in the node
/// and what leaves it: the slower of two figures is taken.
[[nodiscard]] Cluster calibrated_cluster(Cluster base, const CalibrationDesign& design,
                                         const MeasuredMachine& machine);

/// Predicted against measured.
struct Validation {
  std::vector<double> relative_errors;  ///< predicted / measured - 1
  double median_error = 0;              ///< of their absolute values
  double p95_error = 0;
};
/// @param measured as many as `predicted`, each > 0.
[[nodiscard]] Validation validation_of(const std::vector<Seconds>& predicted,
                                       const std::vector<Seconds>& measured);

}  // namespace moeshift
