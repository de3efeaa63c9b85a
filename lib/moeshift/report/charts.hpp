// SPDX-License-Identifier: Apache-2.0
// The charts of HTML reports, as SVG.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace moeshift {

/// How the numbers of an axis are written.
enum class Unit { kPlain, kPercent, kSeconds, kBytes, kCount };

/// "12.3 %", "1.2 ms", "44.0 MB", "0.95".
[[nodiscard]] std::string in_unit(double value, Unit unit);

struct Axis {
  std::string label;  ///< with what it measures: "balancedness on held-out steps"
  Unit unit = Unit::kPlain;
};

/// A named row of values; drawn in the colour of its place in the list.
struct Series {
  std::string name;
  std::vector<double> values;
};

/// Values per category, the series side by side from one base line.
struct BarChart {
  Axis x;
  Axis y;
  std::vector<std::string> categories;
  std::vector<Series> series;  ///< each as long as `categories`
  double base = 0;             ///< where bars start
};
[[nodiscard]] std::string draw(const BarChart& chart);

struct ScatterPoint {
  double x = 0;
  double y = 0;
  std::string label;
  bool marked = false;  ///< on the Pareto front: filled, and joined by a line
};
struct ScatterChart {
  Axis x;
  Axis y;
  std::vector<ScatterPoint> points;
};
[[nodiscard]] std::string draw(const ScatterChart& chart);

/// One line per item: a dot, and whiskers where the interval is known.
struct IntervalRow {
  std::string label;
  double value = 0;
  std::optional<double> low;
  std::optional<double> high;
  bool certain = false;  ///< the interval leaves out the zero line
};
struct IntervalChart {
  Axis x;
  std::vector<IntervalRow> rows;
  std::string better;  ///< "more is better"; may be empty
};
[[nodiscard]] std::string draw(const IntervalChart& chart);

/// Lines over one numeric axis.
struct LineChart {
  Axis x;
  Axis y;
  std::vector<double> at;      ///< ascending
  std::vector<Series> series;  ///< each as long as `at`
  bool even = false;           ///< points at equal distances, labelled with their values
};
[[nodiscard]] std::string draw(const LineChart& chart);

/// values[row][column], dark = large.
struct HeatMap {
  std::string rows;     ///< what a row is: "from rank"
  std::string columns;  ///< "to rank"
  Axis value;
  std::vector<std::vector<double>> values;
};
[[nodiscard]] std::string draw(const HeatMap& chart);

/// Horizontal bars made of parts one after another: times of phases.
struct StackedRow {
  std::string label;
  std::vector<double> parts;  ///< as long as StackedChart::parts
};
struct StackedChart {
  Axis x;
  std::vector<std::string> parts;
  std::vector<StackedRow> rows;
};
[[nodiscard]] std::string draw(const StackedChart& chart);

}  // namespace moeshift
