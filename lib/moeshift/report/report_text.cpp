// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/report_text.hpp"

#include <algorithm>
#include <ostream>
#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/report/terminal_table.hpp"

namespace moeshift {
namespace {

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
      write_table(out, *table, style);
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
