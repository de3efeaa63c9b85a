// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/terminal_table.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <ostream>
#include <sstream>
#include <string_view>

namespace moeshift {
namespace {

constexpr std::string_view kColumnGap = "  ";
constexpr std::size_t kNarrowestProse = 16;

std::vector<std::size_t> column_widths(const Table& table) {
  std::vector<std::size_t> widths;
  for (const Column& column : table.columns) widths.push_back(display_width(column.name));
  for (const auto& row : table.rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], display_width(row[c].shown));
    }
  }
  return widths;
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::size_t used = display_width(text);
  const std::string space(width > used ? width - used : 0, ' ');
  return right ? space + text : text + space;
}

void write_line(std::ostream& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out << line << '\n';
}

std::size_t total_width(const std::vector<std::size_t>& widths) {
  const std::size_t gaps = widths.empty() ? 0 : widths.size() - 1;
  return std::accumulate(widths.begin(), widths.end(), kColumnGap.size() * gaps);
}

std::size_t longest_word(const std::string& text) {
  std::istringstream words(text);
  std::size_t longest = 0;
  for (std::string word; words >> word;) longest = std::max(longest, display_width(word));
  return longest;
}

/// How narrow each column may become: numbers and names not at all.
std::vector<std::size_t> least_widths(const Table& table, const std::vector<std::size_t>& widths) {
  std::vector<std::size_t> least = widths;
  const std::vector<bool> numeric = numeric_columns(table);
  for (std::size_t c = 0; c < widths.size(); ++c) {
    if (numeric[c] || widths[c] <= kNarrowestProse) continue;
    least[c] = std::max(kNarrowestProse, display_width(table.columns[c].name));
    for (const auto& row : table.rows) least[c] = std::max(least[c], longest_word(row[c].shown));
  }
  return least;
}

/// Widths at which the table fits `width`: the widest column of prose gives way first.
std::optional<std::vector<std::size_t>> fitted_widths(const Table& table, std::size_t width) {
  std::vector<std::size_t> widths = column_widths(table);
  const std::vector<std::size_t> least = least_widths(table, widths);
  if (total_width(least) > width) return std::nullopt;
  while (total_width(widths) > width) {
    std::size_t widest = widths.size();
    for (std::size_t c = 0; c < widths.size(); ++c) {
      if (widths[c] == least[c]) continue;
      if (widest == widths.size() || widths[c] > widths[widest]) widest = c;
    }
    --widths[widest];
  }
  return widths;
}

std::vector<std::string> lines_of(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::istringstream in(display_width(text) > width ? wrapped(text, width) : text);
  for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
  return lines;
}

void write_row(std::ostream& out, const std::vector<Cell>& row,
               const std::vector<std::size_t>& widths, const std::vector<bool>& numeric) {
  std::vector<std::vector<std::string>> cells;
  std::size_t height = 1;
  for (std::size_t c = 0; c < row.size(); ++c) {
    cells.push_back(lines_of(row[c].shown, widths[c]));
    height = std::max(height, cells.back().size());
  }
  for (std::size_t i = 0; i < height; ++i) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c > 0) line += kColumnGap;
      line += padded(i < cells[c].size() ? cells[c][i] : "", widths[c], numeric[c]);
    }
    write_line(out, std::move(line));
  }
}

void write_aligned(std::ostream& out, const Table& table, const std::vector<std::size_t>& widths,
                   const Style& style) {
  const std::vector<bool> numeric = numeric_columns(table);
  std::string header;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (c > 0) header += kColumnGap;
    header += padded(table.columns[c].name, widths[c], numeric[c]);
  }
  if (style.color) out << "\033[1m";
  write_line(out, header);
  if (style.color) out << "\033[0m";
  for (const auto& row : table.rows) write_row(out, row, widths, numeric);
}

void write_records(std::ostream& out, const Table& table) {
  std::size_t title_width = 0;
  for (const Column& column : table.columns) {
    title_width = std::max(title_width, display_width(column.name));
  }
  bool first = true;
  for (const auto& row : table.rows) {
    if (!first) out << '\n';
    first = false;
    for (std::size_t c = 0; c < row.size(); ++c) {
      write_line(out, padded(table.columns[c].name, title_width, false) + std::string(kColumnGap) +
                          row[c].shown);
    }
  }
}

/// Columns `first` .. `last`-1 beside the keys.
Table part_of(const Table& table, std::size_t first, std::size_t last) {
  const auto cut = [&](const auto& row) {
    auto part = std::vector(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(table.keys));
    part.insert(part.end(), row.begin() + static_cast<std::ptrdiff_t>(first),
                row.begin() + static_cast<std::ptrdiff_t>(last));
    return part;
  };
  Table part{"", cut(table.columns), {}};
  for (const auto& row : table.rows) part.rows.push_back(cut(row));
  return part;
}

/// As many columns at a time as fit beside the keys; none when not even one does.
std::vector<Table> parts_of(const Table& table, std::size_t width) {
  std::vector<Table> parts;
  if (table.keys == 0) return parts;
  for (std::size_t first = table.keys; first < table.columns.size();) {
    std::size_t last = first;
    while (last < table.columns.size() && fitted_widths(part_of(table, first, last + 1), width)) {
      ++last;
    }
    if (last == first) return {};
    parts.push_back(part_of(table, first, last));
    first = last;
  }
  return parts;
}

}  // namespace

/// Right-aligned when every cell of the column is a number.
std::vector<bool> numeric_columns(const Table& table) {
  std::vector<bool> numeric(table.columns.size(), !table.rows.empty());
  for (const auto& row : table.rows) {
    for (std::size_t c = 0; c < row.size(); ++c) numeric[c] = numeric[c] && row[c].number;
  }
  return numeric;
}

std::string wrapped(const std::string& text, std::size_t width) {
  std::string lines;
  std::size_t column = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find_first_of(" \n", at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > 0 && column + 1 + display_width(word) > width) {
      lines += '\n';
      column = 0;
    } else if (at > 0 && column > 0) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += display_width(word);
    if (end < text.size() && text[end] == '\n') {
      lines += '\n';
      column = 0;
    }
    at = end + 1;
  }
  return lines;
}

void write_table(std::ostream& out, const Table& table, const Style& style) {
  if (!table.title.empty()) out << table.title << '\n';
  if (const auto widths = fitted_widths(table, style.width)) {
    write_aligned(out, table, *widths, style);
    return;
  }
  const std::vector<Table> parts = parts_of(table, style.width);
  if (parts.empty()) write_records(out, table);
  for (const Table& part : parts) {
    if (&part != parts.data()) out << '\n';
    write_aligned(out, part, *fitted_widths(part, style.width), style);
  }
}

}  // namespace moeshift
