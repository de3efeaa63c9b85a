// SPDX-License-Identifier: Apache-2.0
// Axes with round numbers, and the way from values to coordinates.
#pragma once

#include <string>
#include <vector>

#include "moeshift/report/charts.hpp"
#include "moeshift/report/svg.hpp"

namespace moeshift {

/// From the least to the largest value seen; [0, 1] when none was.
class Range {
 public:
  void include(double value);
  /// Adds shares of the span below and above.
  void widen(double below, double above);

  [[nodiscard]] double low() const { return any_ ? low_ : 0; }
  [[nodiscard]] double high() const;

 private:
  double low_ = 0;
  double high_ = 0;
  bool any_ = false;
};

/// Multiples of 1, 2 or 5 times a power of ten in [low, high], about `wanted` of them.
[[nodiscard]] std::vector<double> round_ticks(double low, double high, std::size_t wanted);

/// A tick with just the digits that its distance to the next one needs.
[[nodiscard]] std::string tick_text(double value, double step, Unit unit);

/// Room that the numbers of a vertical axis and its label need.
[[nodiscard]] double room_for(const Range& range, Unit unit);

struct FrameSize {
  double width = 0;
  double height = 0;
  double left = 64;
  double right = 20;
  double top = 26;
  double bottom = 46;
};

/// The inside of a plot. y grows upwards from the axis to round numbers.
class PlotFrame {
 public:
  PlotFrame(const FrameSize& size, const Range& x, const Range& y);

  [[nodiscard]] double left() const { return size_.left; }
  [[nodiscard]] double top() const { return size_.top; }
  [[nodiscard]] double bottom() const { return size_.height - size_.bottom; }
  [[nodiscard]] double width() const { return size_.width - size_.left - size_.right; }
  [[nodiscard]] double x(double value) const;
  [[nodiscard]] double y(double value) const;

  /// Grid lines with their numbers, and the label of the axis.
  void draw_x(Svg& svg, const Axis& axis, const std::string& remark = "") const;
  void draw_y(Svg& svg, const Axis& axis) const;
  /// The label alone.
  void draw_label_x(Svg& svg, const Axis& axis) const;

 private:
  FrameSize size_;
  Range x_;
  Range y_;
};

}  // namespace moeshift
