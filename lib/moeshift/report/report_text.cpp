// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/report_text.hpp"

#include <algorithm>
#include <ostream>
#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/report/chart_table.hpp"
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
  out << "| " << joined(table.columns, " | ", [](const Column& column) {
    return markdown_field(column.name);
  }) << " |\n|";
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

/// What is left of a block where there are no pages: prose or a table.
using Piece = std::variant<std::string, Table>;

Table titled(Table table, const std::string& title) {
  table.title = title;
  return table;
}

std::vector<Piece> pieces_of(std::span<const Block> blocks, Depth depth) {
  std::vector<Piece> pieces;
  for (const Block& block : blocks) {
    if (const auto* note = std::get_if<Note>(&block)) {
      pieces.emplace_back(note->text);
    } else if (const auto* verdict = std::get_if<Conclusion>(&block)) {
      std::string text = verdict->text;
      for (const std::string& reason : verdict->reasons) text += "\n  - " + reason;
      pieces.emplace_back(std::move(text));
    } else if (const auto* table = std::get_if<Table>(&block)) {
      pieces.emplace_back(*table);
    }
    if (depth == Depth::kAnswer) continue;
    if (const auto* tiles = std::get_if<Tiles>(&block)) {
      Table table{"", {"figure", "value", "remark"}, {}};
      for (const Tile& tile : tiles->items) {
        table.rows.push_back({Cell::text(tile.label), tile.value, Cell::text(tile.remark)});
      }
      pieces.emplace_back(std::move(table));
    } else if (const auto* detail = std::get_if<Detail>(&block)) {
      pieces.emplace_back(detail->table);
    } else if (const auto* chart = std::get_if<Chart>(&block)) {
      pieces.emplace_back(titled(chart->data, chart->title));
    } else if (const auto* map = std::get_if<HeatMap>(&block)) {
      pieces.emplace_back(titled(table_of(*map), map->title));
    }
  }
  return pieces;
}

}  // namespace

void write_terminal(std::ostream& out, std::span<const Block> blocks, Depth depth,
                    const Style& style) {
  bool first = true;
  bool after_table = false;
  for (const Piece& piece : pieces_of(blocks, depth)) {
    const auto* table = std::get_if<Table>(&piece);
    if (!first && (table != nullptr || after_table)) out << '\n';
    if (table != nullptr) {
      write_table(out, *table, style);
    } else {
      out << wrapped(std::get<std::string>(piece), style.width) << '\n';
    }
    first = false;
    after_table = table != nullptr;
  }
}

void write_csv(std::ostream& out, std::span<const Block> blocks, Depth depth) {
  bool first = true;
  for (const Piece& piece : pieces_of(blocks, depth)) {
    const auto* table = std::get_if<Table>(&piece);
    if (table == nullptr) continue;
    if (!first) out << "\r\n";
    first = false;
    out << joined(table->columns, ",", [](const Column& column) { return csv_field(column.name); })
        << "\r\n";
    for (const auto& row : table->rows) {
      out << joined(row, ",", [](const Cell& cell) { return csv_field(cell.raw); }) << "\r\n";
    }
  }
}

void write_markdown(std::ostream& out, std::span<const Block> blocks, Depth depth) {
  bool first = true;
  for (const Piece& piece : pieces_of(blocks, depth)) {
    if (!first) out << '\n';
    first = false;
    if (const auto* table = std::get_if<Table>(&piece)) {
      write_markdown_table(out, *table);
    } else {
      out << std::get<std::string>(piece) << '\n';
    }
  }
}

void write_compact_json(std::ostream& out, const nlohmann::ordered_json& document) {
  write_json_value(out, document, 0);
  out << '\n';
}

}  // namespace moeshift
