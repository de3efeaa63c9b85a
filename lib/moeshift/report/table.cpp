// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/number_text.hpp"
#include "moeshift/core/shown_text.hpp"
#include "moeshift/report/figure.hpp"

namespace moeshift {
namespace {

constexpr std::array<std::string_view, 7> kUnitNames = {"text", "", "%", "count", "B", "s", "B/s"};

/// Digits after the point that make three in all; none from 100 on.
int digits_after_point(double magnitude) {
  return magnitude >= 99.95 ? 0 : magnitude >= 9.995 ? 1 : 2;
}

/// Three significant digits with a unit prefix: 44.0 MB, 1.23 GB, 512 B.
std::string scaled(double value, std::string_view unit) {
  static constexpr std::array<std::string_view, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};
  std::size_t prefix = 0;
  double magnitude = std::abs(value);
  while (magnitude >= 999.5 && prefix + 1 < kPrefixes.size()) {
    magnitude /= 1000;
    ++prefix;
  }
  const int digits = prefix == 0 ? 0 : digits_after_point(magnitude);
  return fmt::format("{:.{}f} {}{}", std::copysign(magnitude, value), digits, kPrefixes[prefix],
                     unit);
}

}  // namespace

std::string_view name_of(Unit unit) {
  return kUnitNames[static_cast<std::size_t>(unit)];
}
Unit unit_named(std::string_view name) {
  const auto* found = std::find(kUnitNames.begin(), kUnitNames.end(), name);
  return found == kUnitNames.end() ? Unit::kText : static_cast<Unit>(found - kUnitNames.begin());
}

Column::Column(const Figure& declared) : name(declared.label), figure(&declared) {}

Cell Cell::styled(double value, NumberStyle style) {
  switch (style.unit) {
    case Unit::kText:
      return {round_trip(value), round_trip(value), true, {}};
    case Unit::kPlain:
      return decimal(value, style.digits);
    case Unit::kShare:
      return percent(value, style.digits);
    case Unit::kCount:
      return count(static_cast<std::int64_t>(std::llround(value)));
    case Unit::kBytes:
      return bytes(Bytes(std::llround(value)));
    case Unit::kSeconds:
      return seconds(Seconds(value));
    case Unit::kRate:
      return rate(BytesPerSecond(value));
  }
  return empty();
}
Cell Cell::text(std::string text) {
  text = shown_lines(text);
  return {text, text, false, {}};
}
Cell Cell::empty() {
  return {"-", "", true, {}};
}
Cell Cell::count(std::int64_t value) {
  return {human_count(value), std::to_string(value), true, {Unit::kCount}};
}
Cell Cell::count(std::size_t value) {
  return count(static_cast<std::int64_t>(value));
}
Cell Cell::decimal(double value, int digits) {
  // As pages do: of large numbers nobody reads what stands behind the point.
  constexpr double kLarge = 1e4;
  constexpr double kExact = 0x1p53;
  const bool large = std::abs(value) >= kLarge && std::abs(value) <= kExact;
  return {large ? human_count(std::llround(value)) : fixed(value, digits),
          round_trip(value),
          true,
          {Unit::kPlain, digits}};
}
Cell Cell::percent(double share, int digits) {
  return {fixed(share * 100, digits) + " %", round_trip(share), true, {Unit::kShare, digits}};
}
Cell Cell::bytes(Bytes bytes) {
  return {human(bytes), std::to_string(bytes.count()), true, {Unit::kBytes}};
}
Cell Cell::seconds(Seconds seconds) {
  return {human(seconds), round_trip(seconds.count()), true, {Unit::kSeconds}};
}
Cell Cell::rate(BytesPerSecond rate) {
  return {human(rate), round_trip(rate.count()), true, {Unit::kRate}};
}

std::string human(Bytes bytes) {
  return scaled(static_cast<double>(bytes.count()), "B");
}

std::string human(Seconds seconds) {
  static constexpr std::array<std::pair<double, std::string_view>, 4> kUnits = {
      {{1e9, "ns"}, {1e6, "us"}, {1e3, "ms"}, {1, "s"}}};
  if (seconds.count() == 0) return "0 s";
  // The first in which three digits are enough: 999.7 us are 1.00 ms.
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && std::abs(seconds.count()) * kUnits[unit].first >= 999.5) {
    ++unit;
  }
  const double value = seconds.count() * kUnits[unit].first;
  return fmt::format("{:.{}f} {}", value, digits_after_point(std::abs(value)), kUnits[unit].second);
}

std::string human(BytesPerSecond rate) {
  return scaled(rate.count(), "B/s");
}

std::string human_count(std::int64_t n) {
  return grouped(n);
}

std::string round_trip(double value) {
  return fmt::format("{}", value);
}

std::size_t display_width(std::string_view text) {
  const auto starts_code_point = [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  };
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_code_point));
}

std::string sparkline(const std::vector<double>& values) {
  static constexpr std::array<std::string_view, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const double largest = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  std::string line;
  for (const double value : values) {
    const double height = largest > 0 ? std::max(0.0, value) / largest : 0;
    line += kBars[static_cast<std::size_t>(std::lround(height * 7))];
  }
  return line;
}

}  // namespace moeshift
