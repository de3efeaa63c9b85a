// SPDX-License-Identifier: Apache-2.0
// Tables as values: what every command answers with, before anybody chose a format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/units.hpp"

namespace moeshift {

/// One cell twice: for people ("1.2 GiB") and for programs ("1288490188").
struct Cell {
  std::string shown;
  std::string raw;
  bool number = false;  ///< right-aligned

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

struct Table {
  std::string title;
  std::vector<std::string> columns;
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
