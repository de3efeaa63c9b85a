// SPDX-License-Identifier: Apache-2.0
// Tables as values: what every command answers with, before anybody chose a format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/core/units.hpp"

namespace moeshift {

/// What a number counts.
enum class Unit { kText, kPlain, kShare, kCount, kBytes, kSeconds, kRate };

/// How a number is written for people.
struct NumberStyle {
  Unit unit = Unit::kText;
  int digits = 0;  ///< after the point, of plain numbers and shares

  bool operator==(const NumberStyle&) const = default;
};

/// "text", "", "%", "count", "B", "s", "B/s": how files call a unit.
[[nodiscard]] std::string_view name_of(Unit unit);
/// @return kText for an unknown name
[[nodiscard]] Unit unit_named(std::string_view name);

/// One cell twice: for people ("1.2 GiB") and for programs ("1288490188").
struct Cell {
  std::string shown;
  std::string raw;
  bool number = false;  ///< right-aligned
  NumberStyle style{};  ///< by which `shown` follows from `raw`; kText: it does not

  /// `value` as `style` writes it; whole for counts and bytes.
  static Cell styled(double value, NumberStyle style);

  static Cell text(std::string text);
  static Cell empty();  ///< "-"; an empty field in CSV
  static Cell count(std::int64_t value);
  static Cell count(std::size_t value);
  /// `digits` after the point for people, shortest round-trip form for programs.
  static Cell decimal(double value, int digits);
  /// A share as "12.3 %"; raw is the share itself.
  static Cell percent(double share, int digits = 1);
  static Cell bytes(Bytes bytes);
  static Cell seconds(Seconds seconds);
  static Cell rate(BytesPerSecond rate);
};

struct Figure;

/// What the cells below it are: a figure, or anything that is only called by a name.
struct Column {
  std::string name;
  const Figure* figure = nullptr;

  Column(const char* text) : name(text) {}             // NOLINT(google-explicit-constructor)
  Column(std::string text) : name(std::move(text)) {}  // NOLINT(google-explicit-constructor)
  Column(const Figure& declared);                      // NOLINT(google-explicit-constructor)
  Column(std::string text, const Figure& declared) : name(std::move(text)), figure(&declared) {}
};

struct Table {
  std::string title;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  ///< each as long as `columns`
  /// Leading columns that say what a row is about: a terminal too narrow for the table repeats them
  /// beside each part of it. 0 = none do.
  std::size_t keys = 0;
};

/// Figures for people: three or four significant digits and a unit.
[[nodiscard]] std::string human(Bytes bytes);           ///< "44.0 MB"; powers of ten
[[nodiscard]] std::string human(Seconds seconds);       ///< "1.23 ms"
[[nodiscard]] std::string human(BytesPerSecond rate);   ///< "370 GB/s"
[[nodiscard]] std::string human_count(std::int64_t n);  ///< "12,345"

/// Shortest text that reads back as the same double.
[[nodiscard]] std::string round_trip(double value);

/// Columns of a terminal that `text` takes (UTF-8, one column per code point).
[[nodiscard]] std::size_t display_width(std::string_view text);

/// One character of eight heights per value, scaled from 0 to the largest.
[[nodiscard]] std::string sparkline(const std::vector<double>& values);

}  // namespace moeshift
