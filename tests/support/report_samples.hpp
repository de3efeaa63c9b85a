// SPDX-License-Identifier: Apache-2.0
// Views that have one of everything.
#pragma once

#include <string>
#include <utility>

#include "moeshift/report/figures.hpp"
#include "moeshift/report/report.hpp"

namespace moeshift::samples {

inline Table table(const std::string& text) {
  return {
      "a table",
      {"policy", figure("balancedness"), figure("bytes_by_link"), Column("share", figure("gap")),
       figure("step_seconds")},
      {{Cell::text(text), figure("balancedness")(0.9876), figure("bytes_by_link")(Bytes(1'500'000)),
        Cell::percent(0.125), Cell::seconds(Seconds(0.00123))},
       {Cell::text("b"), Cell::empty(), Cell::text("at least"), Cell{"best", "0", true},
        Cell::empty()}}};
}

inline HeatMap heat_map(std::size_t rows, std::size_t columns) {
  HeatMap map{"a map", "layer", "rank", "load / mean", {Unit::kPlain, 2}, {}, {}, {}};
  for (std::size_t r = 0; r < rows; ++r) map.row_names.push_back(std::to_string(r));
  for (std::size_t c = 0; c < columns; ++c) map.column_names.push_back(std::to_string(c));
  map.values.assign(rows, std::vector<double>(columns, 1.0));
  return map;
}

/// Every kind of block, and every way to draw.
inline View every_block(const std::string& text) {
  View view;
  view.title = "One of everything";
  view.about = {{"model", text}};
  view.blocks = {Note{text},
                 Conclusion{"worse than before", Tone::kBad, {"because", text}},
                 Tiles{{{"balancedness", figure("balancedness")(0.9876), "busiest rank"},
                        {text, Cell::text(text), text}}},
                 table(text),
                 Detail{table(text)},
                 heat_map(2, 3)};
  std::get<Detail>(view.blocks[4]).table.title = "folded away";
  const auto chart = [&](Draw draw, Table data) {
    Chart made{.title = text,
               .draw = draw,
               .data = std::move(data),
               .x = "x",
               .y = "y",
               .base = 0,
               .most = {},
               .marks = {}};
    if (draw == Draw::kLines) made.marks = {{1, text}};
    if (draw == Draw::kBars) made.most = 1.0;
    view.blocks.emplace_back(std::move(made));
  };
  const auto number = [](double value) { return Cell::decimal(value, 3); };
  chart(Draw::kBars,
        {"", {"layer", "now", "then"}, {{Cell::count(std::int64_t{0}), number(0.5), number(1)}}});
  chart(Draw::kStacked, {"", {"layer", "stage"}, {{Cell::text(text), Cell::seconds(Seconds(1))}}});
  chart(Draw::kLines,
        {"",
         {"step", "static"},
         {{Cell::count(std::int64_t{1}), number(2)}, {Cell::count(std::int64_t{2}), number(3)}}});
  chart(
      Draw::kScatter,
      {"", {"policy", "x", "y", ""}, {{Cell::text(text), number(1), number(2), Cell::text("*")}}});
  chart(Draw::kIntervals, {"",
                           {"policy", "mean", "low", "high"},
                           {{Cell::text(text), number(1), number(0), number(2)},
                            {Cell::text("b"), number(1), Cell::empty(), Cell::empty()}}});
  chart(Draw::kSpans, {"",
                       {"row", "what", "from", "for"},
                       {{Cell::text(text), Cell::text("stage"), Cell::seconds(Seconds(0)),
                         Cell::seconds(Seconds(1))}}});
  chart(Draw::kWaterfall, {"",
                           {"step", "time"},
                           {{Cell::text(text), Cell::seconds(Seconds(3))},
                            {Cell::text("b"), Cell::seconds(Seconds(-1))},
                            {Cell::text("now"), Cell::seconds(Seconds(2))}}});
  return view;
}

}  // namespace moeshift::samples
