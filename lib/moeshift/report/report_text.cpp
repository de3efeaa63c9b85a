// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/report_text.hpp"

#include <algorithm>
#include <ostream>
#include <string>

#include <nlohmann/json.hpp>

namespace moeshift {
namespace {

constexpr std::string_view kColumnGap = "  ";

/// Right-aligned when every cell of the column is a number.
std::vector<bool> numeric_columns(const Table& table) {
  std::vector<bool> numeric(table.columns.size(), !table.rows.empty());
  for (const auto& row : table.rows) {
    for (std::size_t c = 0; c < row.size(); ++c) numeric[c] = numeric[c] && row[c].number;
  }
  return numeric;
}

std::vector<std::size_t> column_widths(const Table& table) {
  std::vector<std::size_t> widths;
  for (const std::string& title : table.columns) widths.push_back(display_width(title));
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

void write_aligned(std::ostream& out, const Table& table, const std::vector<std::size_t>& widths,
                   const Style& style) {
  const std::vector<bool> numeric = numeric_columns(table);
  std::string header;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (c > 0) header += kColumnGap;
    header += padded(table.columns[c], widths[c], numeric[c]);
  }
  if (style.color) out << "\033[1m";
  write_line(out, header);
  if (style.color) out << "\033[0m";
  for (const auto& row : table.rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c > 0) line += kColumnGap;
      line += padded(row[c].shown, widths[c], numeric[c]);
    }
    write_line(out, line);
  }
}

void write_records(std::ostream& out, const Table& table) {
  std::size_t title_width = 0;
  for (const std::string& title : table.columns) {
    title_width = std::max(title_width, display_width(title));
  }
  bool first = true;
  for (const auto& row : table.rows) {
    if (!first) out << '\n';
    first = false;
    for (std::size_t c = 0; c < row.size(); ++c) {
      write_line(out, padded(table.columns[c], title_width, false) + std::string(kColumnGap) +
                          row[c].shown);
    }
  }
}

void write_terminal_table(std::ostream& out, const Table& table, const Style& style) {
  if (!table.title.empty()) out << table.title << '\n';
  const std::vector<std::size_t> widths = column_widths(table);
  std::size_t total = kColumnGap.size() * (widths.empty() ? 0 : widths.size() - 1);
  for (const std::size_t width : widths) total += width;
  if (total <= style.width) {
    write_aligned(out, table, widths, style);
  } else {
    write_records(out, table);
  }
}

/// Breaks a note at spaces so that it fits the terminal.
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

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string markdown_field(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
  return escaped;
}

template <class Fields, class Text>
std::string joined(const Fields& fields, std::string_view separator, Text text) {
  std::string line;
  for (const auto& field : fields) {
    if (&field != &fields.front()) line += separator;
    line += text(field);
  }
  return line;
}

void write_markdown_table(std::ostream& out, const Table& table) {
  if (!table.title.empty()) out << "**" << table.title << "**\n\n";
  out << "| " << joined(table.columns, " | ", markdown_field) << " |\n|";
  for (const bool numeric : numeric_columns(table)) out << (numeric ? "---:|" : "---|");
  out << '\n';
  for (const auto& row : table.rows) {
    out << "| " << joined(row, " | ", [](const Cell& cell) { return markdown_field(cell.shown); })
        << " |\n";
  }
}

bool is_plain_array(const nlohmann::ordered_json& value) {
  return value.is_array() && std::none_of(value.begin(), value.end(),
                                          [](const auto& item) { return item.is_structured(); });
}

void write_json_value(std::ostream& out, const nlohmann::ordered_json& value, std::size_t depth) {
  if (!value.is_structured() || value.empty() || is_plain_array(value)) {
    out << value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    return;
  }
  const std::string indent(2 * (depth + 1), ' ');
  bool first = true;
  out << (value.is_object() ? "{" : "[");
  for (const auto& [key, item] : value.items()) {
    out << (first ? "\n" : ",\n") << indent;
    first = false;
    if (value.is_object()) out << nlohmann::ordered_json(key).dump() << ": ";
    write_json_value(out, item, depth + 1);
  }
  out << '\n' << std::string(2 * depth, ' ') << (value.is_object() ? "}" : "]");
}

}  // namespace

void write_terminal(std::ostream& out, const Report& report, const Style& style) {
  bool after_table = false;
  for (const Block& block : report.blocks()) {
    const Table* table = std::get_if<Table>(&block);
    const bool separate = &block != &report.blocks().front() && (table != nullptr || after_table);
    if (separate) out << '\n';
    if (table != nullptr) {
      write_terminal_table(out, *table, style);
    } else {
      out << wrapped(std::get<Note>(block).text, style.width) << '\n';
    }
    after_table = table != nullptr;
  }
}

void write_csv(std::ostream& out, const Report& report) {
  bool first = true;
  for (const Block& block : report.blocks()) {
    const Table* table = std::get_if<Table>(&block);
    if (table == nullptr) continue;
    if (!first) out << "\r\n";
    first = false;
    out << joined(table->columns, ",", csv_field) << "\r\n";
    for (const auto& row : table->rows) {
      out << joined(row, ",", [](const Cell& cell) { return csv_field(cell.raw); }) << "\r\n";
    }
  }
}

void write_markdown(std::ostream& out, const Report& report) {
  for (const Block& block : report.blocks()) {
    if (&block != &report.blocks().front()) out << '\n';
    if (const Table* table = std::get_if<Table>(&block)) {
      write_markdown_table(out, *table);
    } else {
      out << std::get<Note>(block).text << '\n';
    }
  }
}

void write_compact_json(std::ostream& out, const nlohmann::ordered_json& document) {
  write_json_value(out, document, 0);
  out << '\n';
}

}  // namespace moeshift
