// SPDX-License-Identifier: Apache-2.0
// What an answer is made of: prose, verdicts, figures, tables, charts. Values only; how they look
// is the business of who draws them.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "moeshift/report/table.hpp"

namespace moeshift {

/// A line of prose.
struct Note {
  std::string text;
};

enum class Tone { kPlain, kGood, kBad };

/// What the answer comes down to: a note in a terminal, a box on top of a page.
struct Conclusion {
  std::string text;
  Tone tone = Tone::kPlain;
  std::vector<std::string> reasons;
};

/// A figure that deserves to be large.
struct Tile {
  std::string label;
  Cell value;
  std::string remark;  ///< small, below; may be empty
};
struct Tiles {
  std::vector<Tile> items;
};

/// A table for pages only, folded away behind its title.
struct Detail {
  Table table;
};

/// How the rows of a chart's table become a picture.
enum class Draw {
  kBars,       ///< category; then one bar per column, side by side
  kStacked,    ///< category; then parts of one horizontal bar, one after another
  kLines,      ///< x; then one line per column
  kScatter,    ///< label, x, y; a fourth column "*" marks the Pareto front
  kIntervals,  ///< label, value, low, high
  kSpans,      ///< row, what, start, duration: a timeline
  kWaterfall,  ///< label, value: first and last stand on zero, others on what came before
};

/// A place on the x axis of kLines that deserves a line of its own.
struct Mark {
  double x = 0;
  std::string label;
};

/// A table and how to draw it. Axes take their units from the columns.
struct Chart {
  std::string title{};
  Draw draw = Draw::kBars;
  Table data{};
  std::string x{};
  std::string y{};
  double base = 0;               ///< where bars start: 1 for ratios of which less than 1 cannot be
  std::optional<double> most{};  ///< what the value axis cannot exceed: balancedness 1
  std::vector<Mark> marks{};
};

/// values[row][column], dark = large.
struct HeatMap {
  std::string title;
  std::string rows;     ///< what a row is: "layer"
  std::string columns;  ///< "rank"
  std::string value;    ///< "load / mean"
  NumberStyle style{};
  std::vector<std::string> row_names{};
  std::vector<std::string> column_names{};
  std::vector<std::vector<double>> values{};
};

using Block = std::variant<Note, Conclusion, Tiles, Table, Detail, Chart, HeatMap>;

/// Sums blocks of cells until there are at most `most` rows and columns; names become "0-7".
/// Values that are no sums must not pass through here. O(cells).
[[nodiscard]] HeatMap summed_to(HeatMap map, std::size_t most);

}  // namespace moeshift
