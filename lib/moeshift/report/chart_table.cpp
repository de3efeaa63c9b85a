// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/chart_table.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace moeshift {
namespace {

constexpr std::size_t kMostColumns = 16;

Table whole_table(const HeatMap& map) {
  Table table{"", {fmt::format("{} \\ {}", map.rows, map.columns)}, {}};
  for (const std::string& name : map.column_names) table.columns.emplace_back(name);
  for (std::size_t r = 0; r < map.values.size(); ++r) {
    std::vector<Cell> row = {Cell::text(map.row_names[r])};
    for (const double value : map.values[r]) row.push_back(Cell::styled(value, map.style));
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// "8-15" of "8" .. "15"; "8-15" of "8-11" .. "12-15".
std::string span_name(const std::string& first, const std::string& last) {
  if (first == last) return first;
  const std::size_t dash = last.find('-');
  return first.substr(0, first.find('-')) + "-" +
         (dash == std::string::npos ? last : last.substr(dash + 1));
}

std::vector<std::string> grouped(const std::vector<std::string>& names, std::size_t together) {
  std::vector<std::string> groups;
  for (std::size_t at = 0; at < names.size(); at += together) {
    groups.push_back(span_name(names[at], names[std::min(at + together, names.size()) - 1]));
  }
  return groups;
}

}  // namespace

Table table_of(const HeatMap& map) {
  if (map.column_names.size() <= kMostColumns) return whole_table(map);
  Table table{
      "", {map.rows, "least", "mean", "most", fmt::format("{} of the most", map.columns)}, {}};
  for (std::size_t r = 0; r < map.values.size(); ++r) {
    const std::vector<double>& row = map.values[r];
    const auto [least, most] = std::minmax_element(row.begin(), row.end());
    const double mean =
        std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(row.size());
    table.rows.push_back(
        {Cell::text(map.row_names[r]), Cell::styled(*least, map.style),
         Cell::styled(mean, map.style), Cell::styled(*most, map.style),
         Cell::text(map.column_names[static_cast<std::size_t>(most - row.begin())])});
  }
  return table;
}

HeatMap summed_to(HeatMap map, std::size_t most) {
  const std::size_t largest = std::max(map.row_names.size(), map.column_names.size());
  const std::size_t together = (largest + most - 1) / most;
  if (together <= 1) return map;
  std::vector<std::string> rows = grouped(map.row_names, together);
  std::vector<std::string> columns = grouped(map.column_names, together);
  std::vector<std::vector<double>> sums(rows.size(), std::vector<double>(columns.size()));
  for (std::size_t r = 0; r < map.values.size(); ++r) {
    for (std::size_t c = 0; c < map.values[r].size(); ++c) {
      sums[r / together][c / together] += map.values[r][c];
    }
  }
  map.row_names = std::move(rows);
  map.column_names = std::move(columns);
  map.values = std::move(sums);
  return map;
}

}  // namespace moeshift
