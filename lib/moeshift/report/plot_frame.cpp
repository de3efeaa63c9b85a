// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/plot_frame.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include "moeshift/report/table.hpp"

namespace moeshift {

std::string in_unit(double value, Unit unit) {
  switch (unit) {
    case Unit::kPercent:
      return fmt::format("{:.3g} %", value * 100);
    case Unit::kSeconds:
      return human(Seconds(value));
    case Unit::kBytes:
      return human(Bytes(static_cast<std::int64_t>(std::llround(value))));
    case Unit::kCount:
      return human_count(std::llround(value));
    case Unit::kPlain:
      break;
  }
  return std::abs(value) < 1e-12 ? "0" : fmt::format("{:.4g}", value);
}

void Range::include(double value) {
  if (!std::isfinite(value)) return;
  low_ = any_ ? std::min(low_, value) : value;
  high_ = any_ ? std::max(high_, value) : value;
  any_ = true;
}

void Range::widen(double below, double above) {
  const double span = high() - low();
  low_ = low() - below * span;
  high_ = high() + above * span;
  any_ = true;
}

double Range::high() const {
  if (!any_) return 1;
  return high_ > low_ ? high_ : low_ + std::max(std::abs(low_) * 0.1, 1e-9);
}

std::vector<double> round_ticks(double low, double high, std::size_t wanted) {
  const double rough = (high - low) / static_cast<double>(std::max<std::size_t>(wanted, 1));
  if (!(rough > 0)) return {low};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double multiple : {5.0, 2.0, 1.0}) {
    if (multiple * power >= rough) step = multiple * power;
  }
  std::vector<double> ticks;
  for (double tick = std::ceil(low / step - 1e-9); tick * step <= high + 1e-9 * step; ++tick) {
    ticks.push_back(tick * step);
  }
  return ticks;
}

std::string tick_text(double value, double step, Unit unit) {
  if (unit != Unit::kPlain && unit != Unit::kPercent) return in_unit(value, unit);
  const double scale = unit == Unit::kPercent ? 100 : 1;
  const int digits =
      step > 0 ? std::max(0, static_cast<int>(-std::floor(std::log10(step * scale) + 1e-9))) : 2;
  const double shown = std::abs(value) < 1e-9 * std::max(step, 1e-12) ? 0 : value * scale;
  return fmt::format("{:.{}f}{}", shown, std::min(digits, 9), unit == Unit::kPercent ? " %" : "");
}

double room_for(const Range& range, Unit unit) {
  const std::vector<double> ticks = round_ticks(range.low(), range.high(), 5);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 0;
  std::size_t widest = 0;
  for (const double tick : ticks) widest = std::max(widest, tick_text(tick, step, unit).size());
  return 36 + 7.2 * static_cast<double>(widest);
}

PlotFrame::PlotFrame(const FrameSize& size, const Range& x, const Range& y)
    : size_(size), x_(x), y_(y) {
  const std::vector<double> ticks = round_ticks(y_.low(), y_.high(), 5);
  if (ticks.size() < 2) return;
  const double step = ticks[1] - ticks[0];
  y_.include(std::ceil(y_.high() / step - 1e-9) * step);
}

double PlotFrame::x(double value) const {
  return left() + (value - x_.low()) / (x_.high() - x_.low()) * width();
}

double PlotFrame::y(double value) const {
  return bottom() - (value - y_.low()) / (y_.high() - y_.low()) * (bottom() - top());
}

void PlotFrame::draw_x(Svg& svg, const Axis& axis, const std::string& remark) const {
  const auto wanted = static_cast<std::size_t>(std::max(width() / 90, 2.0));
  const std::vector<double> ticks = round_ticks(x_.low(), x_.high(), wanted);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 0;
  for (const double tick : ticks) {
    svg.line(x(tick), top(), x(tick), bottom(), "grid");
    svg.text(x(tick), bottom() + 16, tick_text(tick, step, axis.unit), "tick", Anchor::kMiddle);
  }
  draw_label_x(svg, {remark.empty() ? axis.label : axis.label + " (" + remark + ")", axis.unit});
}

void PlotFrame::draw_label_x(Svg& svg, const Axis& axis) const {
  svg.line(left(), bottom(), left() + width(), bottom(), "base");
  svg.text(left() + width() / 2, size_.height - 8, axis.label, "axis", Anchor::kMiddle);
}

void PlotFrame::draw_y(Svg& svg, const Axis& axis) const {
  const std::vector<double> ticks = round_ticks(y_.low(), y_.high(), 5);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 0;
  for (const double tick : ticks) {
    svg.line(left(), y(tick), left() + width(), y(tick), "grid");
    svg.text(left() - 8, y(tick) + 4, tick_text(tick, step, axis.unit), "tick", Anchor::kEnd);
  }
  svg.text_upwards(14, (top() + bottom()) / 2, axis.label, "axis");
}

}  // namespace moeshift
