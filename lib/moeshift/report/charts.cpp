// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/charts.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "moeshift/report/plot_frame.hpp"
#include "moeshift/report/svg.hpp"

namespace moeshift {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 300;
constexpr std::size_t kColours = 6;
constexpr std::size_t kLabelled = 16;  ///< of more points only the best are labelled

std::string colour(const char* what, std::size_t index) {
  return fmt::format("{} c{}", what, index % kColours);
}

std::string tip_of(const std::string& label, const std::string& series, double value, Unit unit) {
  const std::string number = in_unit(value, unit);
  return series.empty() ? fmt::format("{}: {}", label, number)
                        : fmt::format("{}, {}: {}", label, series, number);
}

/// Names of the series with their colours, in one line above the plot.
void draw_legend(Svg& svg, const std::vector<std::string>& names, double x) {
  if (names.size() < 2) return;
  for (std::size_t i = 0; i < names.size(); ++i) {
    svg.rect(x, 4, 11, 11, colour("fill", i));
    svg.text(x + 16, 14, names[i], "tick");
    x += 30 + 7.2 * static_cast<double>(names[i].size());
  }
}

std::vector<std::string> names_of(const std::vector<Series>& series) {
  std::vector<std::string> names;
  for (const Series& one : series) names.push_back(one.name);
  return names;
}

double widest(const std::vector<std::string>& labels) {
  std::size_t most = 0;
  for (const std::string& label : labels) most = std::max(most, label.size());
  return std::min(260.0, 14 + 7.0 * static_cast<double>(most));
}

/// The end of a label that is too long for its column.
std::string fitted(const std::string& label, double width) {
  const auto most = static_cast<std::size_t>(width / 7.0);
  return label.size() <= most ? label : label.substr(0, most - 1) + "\u2026";
}

Range range_of(const std::vector<Series>& series) {
  Range range;
  for (const Series& one : series) {
    for (const double value : one.values) range.include(value);
  }
  return range;
}

void draw_bars(Svg& svg, const BarChart& chart, const PlotFrame& frame) {
  const auto count = static_cast<double>(chart.categories.size());
  const double room = frame.width() / count;
  const double each = room * 0.8 / static_cast<double>(chart.series.size());
  const double base = frame.y(chart.base);
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    for (std::size_t i = 0; i < chart.categories.size(); ++i) {
      const double value = chart.series[s].values[i];
      const double top = frame.y(value);
      svg.rect(frame.left() + room * (static_cast<double>(i) + 0.1) + each * static_cast<double>(s),
               std::min(top, base), each, std::abs(base - top), colour("fill", s),
               tip_of(chart.x.label + " " + chart.categories[i], chart.series[s].name, value,
                      chart.y.unit));
    }
  }
  if (base < frame.bottom()) {
    svg.line(frame.left(), base, frame.left() + frame.width(), base, "base");
  }
  const auto step = static_cast<std::size_t>(std::ceil(count * 34 / frame.width()));
  for (std::size_t i = 0; i < chart.categories.size(); i += std::max<std::size_t>(step, 1)) {
    svg.text(frame.left() + room * (static_cast<double>(i) + 0.5), frame.bottom() + 16,
             chart.categories[i], "tick", Anchor::kMiddle);
  }
}

/// Keeps labels of neighbouring points apart: each goes to the first free height.
class LabelPlaces {
 public:
  double place(double x, double y, double width) {
    for (const double shift : {-8.0, 16.0, -22.0, 30.0, -36.0, 44.0}) {
      if (std::none_of(taken_.begin(), taken_.end(), [&](const Box& box) {
            return std::abs(box.y - (y + shift)) < 15 && x < box.right && x + width > box.left;
          })) {
        taken_.push_back({x, x + width, y + shift});
        return y + shift;
      }
    }
    return y - 8;
  }

 private:
  struct Box {
    double left, right, y;
  };
  std::vector<Box> taken_;
};

std::vector<ScatterPoint> front_of(std::vector<ScatterPoint> points) {
  std::erase_if(points, [](const ScatterPoint& point) { return !point.marked; });
  std::sort(points.begin(), points.end(),
            [](const ScatterPoint& a, const ScatterPoint& b) { return a.x < b.x; });
  return points;
}

}  // namespace

std::string draw(const BarChart& chart) {
  Svg svg(kWidth, kHeight, chart.y.label + " by " + chart.x.label);
  if (chart.categories.empty() || chart.series.empty()) return std::move(svg).finish();
  Range range = range_of(chart.series);
  range.include(chart.base);
  const PlotFrame frame({.width = kWidth, .height = kHeight, .left = room_for(range, chart.y.unit)},
                        {}, range);
  frame.draw_y(svg, chart.y);
  draw_bars(svg, chart, frame);
  frame.draw_label_x(svg, chart.x);
  draw_legend(svg, names_of(chart.series), frame.left());
  return std::move(svg).finish();
}

std::string draw(const ScatterChart& chart) {
  constexpr double kTall = 360;
  Svg svg(kWidth, kTall, chart.y.label + " against " + chart.x.label);
  if (chart.points.empty()) return std::move(svg).finish();
  Range x;
  Range y;
  x.include(0);
  for (const ScatterPoint& point : chart.points) {
    x.include(point.x);
    y.include(point.y);
  }
  x.widen(0.02, 0.12);
  y.widen(0.08, 0.08);
  const PlotFrame frame({.width = kWidth, .height = kTall, .left = room_for(y, chart.y.unit)}, x,
                        y);
  frame.draw_y(svg, chart.y);
  frame.draw_x(svg, chart.x);
  std::string front;
  for (const ScatterPoint& point : front_of(chart.points)) {
    front += fmt::format("{:.2f},{:.2f} ", frame.x(point.x), frame.y(point.y));
  }
  svg.polyline(front, "front");
  LabelPlaces places;
  for (const ScatterPoint& point : chart.points) {
    const double at_x = frame.x(point.x);
    const double at_y = frame.y(point.y);
    svg.circle(at_x, at_y, 5, point.marked ? "fill c0" : "hollow c0",
               fmt::format("{}: {}, {}", point.label, in_unit(point.x, chart.x.unit),
                           in_unit(point.y, chart.y.unit)));
    if (chart.points.size() > kLabelled && !point.marked) continue;
    const double width = 7.6 * static_cast<double>(point.label.size());
    const bool inside = at_x + 8 + width < kWidth;
    const double left = inside ? at_x + 8 : at_x - 8 - width;
    svg.text(inside ? at_x + 8 : at_x - 8, places.place(left, at_y, width), point.label,
             point.marked ? "name strong" : "name", inside ? Anchor::kStart : Anchor::kEnd);
  }
  return std::move(svg).finish();
}

std::string draw(const IntervalChart& chart) {
  constexpr double kRow = 26;
  std::vector<std::string> labels;
  Range range;
  range.include(0);
  for (const IntervalRow& row : chart.rows) {
    labels.push_back(row.label);
    for (const double value :
         {row.value, row.low.value_or(row.value), row.high.value_or(row.value)}) {
      range.include(value);
    }
  }
  range.widen(0.05, 0.05);
  const double height = 64 + kRow * static_cast<double>(chart.rows.size());
  Svg svg(kWidth, height, chart.x.label);
  const double left = widest(labels);
  const PlotFrame frame({.width = kWidth, .height = height, .left = left, .right = 96, .top = 10},
                        range, {});
  frame.draw_x(svg, chart.x, chart.better);
  svg.line(frame.x(0), frame.top(), frame.x(0), frame.bottom(), "zero");
  double y = frame.top() + kRow / 2;
  for (const IntervalRow& row : chart.rows) {
    svg.text(left - 10, y + 4, fitted(row.label, left), "name", Anchor::kEnd);
    if (row.low && row.high) svg.line(frame.x(*row.low), y, frame.x(*row.high), y, "whisker");
    const std::string number = in_unit(row.value, chart.x.unit);
    const std::string tip =
        row.low && row.high
            ? fmt::format("{}: {}, 95 % interval {} to {}", row.label, number,
                          in_unit(*row.low, chart.x.unit), in_unit(*row.high, chart.x.unit))
            : fmt::format("{}: {}", row.label, number);
    svg.circle(frame.x(row.value), y, 5, row.certain ? "fill c0" : "hollow c0", tip);
    svg.text(kWidth - 4, y + 4, number, "tick", Anchor::kEnd);
    y += kRow;
  }
  return std::move(svg).finish();
}

std::string draw(const LineChart& chart) {
  Svg svg(kWidth, kHeight, chart.y.label + " over " + chart.x.label);
  if (chart.at.empty()) return std::move(svg).finish();
  Range y = range_of(chart.series);
  y.include(0);
  Range x;
  for (std::size_t i = 0; i < chart.at.size(); ++i) {
    x.include(chart.even ? static_cast<double>(i) : chart.at[i]);
  }
  const PlotFrame frame({.width = kWidth, .height = kHeight, .left = room_for(y, chart.y.unit)}, x,
                        y);
  frame.draw_y(svg, chart.y);
  if (chart.even) {
    for (std::size_t i = 0; i < chart.at.size(); ++i) {
      svg.text(frame.x(static_cast<double>(i)), frame.bottom() + 16,
               in_unit(chart.at[i], chart.x.unit), "tick", Anchor::kMiddle);
    }
    frame.draw_label_x(svg, chart.x);
  } else {
    frame.draw_x(svg, chart.x);
  }
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    std::string points;
    for (std::size_t i = 0; i < chart.at.size(); ++i) {
      const double at = frame.x(chart.even ? static_cast<double>(i) : chart.at[i]);
      const double value = chart.series[s].values[i];
      points += fmt::format("{:.2f},{:.2f} ", at, frame.y(value));
      if (chart.at.size() <= 60) {
        svg.circle(
            at, frame.y(value), 3, colour("fill", s),
            tip_of(in_unit(chart.at[i], chart.x.unit), chart.series[s].name, value, chart.y.unit));
      }
    }
    svg.polyline(points, colour("stroke", s));
  }
  draw_legend(svg, names_of(chart.series), frame.left());
  return std::move(svg).finish();
}

std::string draw(const HeatMap& chart) {
  const std::size_t rows = chart.values.size();
  const std::size_t columns = rows == 0 ? 0 : chart.values.front().size();
  double largest = 0;
  for (const auto& row : chart.values) {
    for (const double value : row) largest = std::max(largest, value);
  }
  constexpr double kLeft = 64;
  constexpr double kTop = 44;
  const double cell = std::min(
      28.0, (kWidth - kLeft - 120) / static_cast<double>(std::max<std::size_t>(columns, 1)));
  const double height = kTop + cell * static_cast<double>(rows) + 12;
  Svg svg(kWidth, std::max(height, 160.0), chart.value.label);
  const auto at = [&](std::size_t i) { return cell * static_cast<double>(i); };
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      const double value = chart.values[r][c];
      svg.shade(kLeft + at(c), kTop + at(r), cell - 1, cell - 1,
                largest > 0 ? 0.04 + 0.96 * value / largest : 0.04,
                fmt::format("{} {}, {} {}: {}", chart.rows, r, chart.columns, c,
                            in_unit(value, chart.value.unit)));
    }
  }
  const auto step = std::max<std::size_t>(static_cast<std::size_t>(std::ceil(20 / cell)), 1);
  for (std::size_t r = 0; r < rows; r += step) {
    svg.text(kLeft - 8, kTop + at(r) + cell / 2 + 4, std::to_string(r), "tick", Anchor::kEnd);
  }
  for (std::size_t c = 0; c < columns; c += step) {
    svg.text(kLeft + at(c) + cell / 2, kTop - 8, std::to_string(c), "tick", Anchor::kMiddle);
  }
  svg.text(kLeft, 16, chart.columns, "axis");
  svg.text_upwards(16, kTop + at(rows) / 2, chart.rows, "axis");
  const double scale_x = kLeft + at(columns) + 28;
  for (int i = 0; i < 5; ++i) {
    svg.shade(scale_x, kTop + 22.0 * i, 18, 20, 1 - i / 4.0, "");
    svg.text(scale_x + 24, kTop + 22.0 * i + 14, in_unit(largest * (1 - i / 4.0), chart.value.unit),
             "tick");
  }
  return std::move(svg).finish();
}

std::string draw(const StackedChart& chart) {
  constexpr double kRow = 26;
  std::vector<std::string> labels;
  Range range;
  range.include(0);
  for (const StackedRow& row : chart.rows) {
    labels.push_back(row.label);
    double sum = 0;
    for (const double part : row.parts) sum += part;
    range.include(sum);
  }
  const double height = 84 + kRow * static_cast<double>(chart.rows.size());
  const double left = widest(labels);
  Svg svg(kWidth, height, chart.x.label);
  const PlotFrame frame({.width = kWidth, .height = height, .left = left, .right = 20, .top = 28},
                        range, {});
  frame.draw_x(svg, chart.x);
  draw_legend(svg, chart.parts, left);
  double y = frame.top() + 4;
  for (const StackedRow& row : chart.rows) {
    svg.text(left - 10, y + 13, fitted(row.label, left), "name", Anchor::kEnd);
    double sum = 0;
    for (std::size_t i = 0; i < row.parts.size(); ++i) {
      svg.rect(frame.x(sum), y, frame.x(sum + row.parts[i]) - frame.x(sum), kRow - 8,
               colour("fill", i), tip_of(row.label, chart.parts[i], row.parts[i], chart.x.unit));
      sum += row.parts[i];
    }
    y += kRow;
  }
  return std::move(svg).finish();
}

}  // namespace moeshift
