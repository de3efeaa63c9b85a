// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/view.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

#include "moeshift/report/figures.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 7> kDrawNames = {
    "bars", "stacked", "lines", "scatter", "intervals", "spans", "waterfall"};
constexpr std::array<std::string_view, 3> kToneNames = {"plain", "good", "bad"};

template <class Enum, class Names>
Enum named(const JsonReader& reader, const Names& names) {
  const auto found = std::find(names.begin(), names.end(), reader.string());
  if (found == names.end()) reader.fail("expected a name that this version knows");
  return static_cast<Enum>(found - names.begin());
}

/// How the numbers of a column are written: as its first number is.
NumberStyle style_of(const Table& table, std::size_t column) {
  for (const auto& row : table.rows) {
    if (row[column].style.unit != Unit::kText) return row[column].style;
  }
  return {};
}

Json to_json(const Cell& cell, const NumberStyle& column) {
  if (cell.style.unit != Unit::kText && cell.style == column) {
    Json number = Json::parse(cell.raw, nullptr, false);
    if (number.is_number()) return number;
  }
  if (cell.number && cell.raw.empty() && cell.shown == "-") return nullptr;
  if (!cell.number && cell.shown == cell.raw) return cell.shown;
  return Json::array({cell.shown, cell.raw, cell.number});
}

Cell read_cell(const JsonReader& reader, const NumberStyle& column) {
  if (reader.is_null()) return Cell::empty();
  if (reader.is_string()) return Cell::text(reader.string());
  if (reader.is_number()) {
    if (column.unit == Unit::kCount) return Cell::count(reader.raw().get<std::int64_t>());
    if (column.unit == Unit::kBytes) return Cell::bytes(Bytes(reader.raw().get<std::int64_t>()));
    return Cell::styled(reader.number(), column);
  }
  return {reader.at(0).string(), reader.at(1).string(), reader.at(2).boolean(), {}};
}

void put_style(Json& json, const NumberStyle& style) {
  if (style.unit == Unit::kText) return;
  json["unit"] = name_of(style.unit);
  if (style.digits != 0) json["digits"] = style.digits;
}

NumberStyle read_style(const JsonReader& reader) {
  NumberStyle style;
  if (const auto unit = reader.find("unit")) style.unit = unit_named(unit->string());
  constexpr std::int64_t kMostDigits = 17;
  if (const auto digits = reader.find("digits")) {
    style.digits = static_cast<int>(digits->whole(0, kMostDigits));
  }
  return style;
}

Json to_json(const Table& table) {
  Json columns = Json::array();
  std::vector<NumberStyle> styles;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    styles.push_back(style_of(table, c));
    Json json = {{"name", column.name}};
    if (column.figure != nullptr) {
      json["figure"] = column.figure->key;
      if (column.figure->better != Better::kNeither)
        json["better"] = name_of(column.figure->better);
    }
    put_style(json, styles.back());
    columns.push_back(std::move(json));
  }
  Json rows = Json::array();
  for (const auto& row : table.rows) {
    Json cells = Json::array();
    for (std::size_t c = 0; c < row.size(); ++c) cells.push_back(to_json(row[c], styles[c]));
    rows.push_back(std::move(cells));
  }
  Json json = {{"title", table.title}, {"columns", std::move(columns)}};
  if (table.keys != 0) json["keys"] = table.keys;
  json["rows"] = std::move(rows);
  return json;
}

Table read_table(const JsonReader& reader) {
  Table table{reader.at("title").string(), {}, {}};
  std::vector<NumberStyle> styles;
  for (const JsonReader& column : reader.at("columns").items()) {
    table.columns.emplace_back(column.at("name").string());
    if (const auto key = column.find("figure"))
      table.columns.back().figure = find_figure(key->string());
    styles.push_back(read_style(column));
  }
  if (const auto keys = reader.find("keys")) {
    table.keys = static_cast<std::size_t>(keys->whole(0, static_cast<std::int64_t>(styles.size())));
  }
  for (const JsonReader& row : reader.at("rows").items()) {
    if (row.size() != styles.size()) row.fail("expected a cell for each column");
    std::vector<Cell> cells;
    for (std::size_t c = 0; c < styles.size(); ++c)
      cells.push_back(read_cell(row.at(c), styles[c]));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

/// Three digits are what a colour can show; they keep large maps small.
double rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return 0;
  const double scale = std::pow(10.0, 2 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

struct BlockToJson {
  Json operator()(const Note& note) const { return {{"kind", "note"}, {"text", note.text}}; }
  Json operator()(const Conclusion& verdict) const {
    return {{"kind", "verdict"},
            {"text", verdict.text},
            {"tone", kToneNames[static_cast<std::size_t>(verdict.tone)]},
            {"reasons", verdict.reasons}};
  }
  Json operator()(const Tiles& tiles) const {
    Json items = Json::array();
    for (const Tile& tile : tiles.items) {
      Json item = {{"label", tile.label}, {"value", to_json(tile.value, tile.value.style)}};
      put_style(item, tile.value.style);
      if (!tile.remark.empty()) item["remark"] = tile.remark;
      items.push_back(std::move(item));
    }
    return {{"kind", "figures"}, {"items", std::move(items)}};
  }
  Json operator()(const Table& table) const { return with_kind("table", to_json(table)); }
  Json operator()(const Detail& detail) const { return with_kind("detail", to_json(detail.table)); }
  Json operator()(const Chart& chart) const {
    Json json = {{"kind", "chart"},
                 {"draw", kDrawNames[static_cast<std::size_t>(chart.draw)]},
                 {"title", chart.title},
                 {"x", chart.x},
                 {"y", chart.y}};
    if (chart.base != 0) json["base"] = chart.base;
    if (chart.most) json["most"] = *chart.most;
    for (const Mark& mark : chart.marks)
      json["marks"].push_back({{"x", mark.x}, {"label", mark.label}});
    json["data"] = to_json(chart.data);
    return json;
  }
  Json operator()(const HeatMap& map) const {
    Json json = {{"kind", "heatmap"},
                 {"title", map.title},
                 {"rows", map.rows},
                 {"columns", map.columns},
                 {"value", map.value}};
    put_style(json, map.style);
    json["row_names"] = map.row_names;
    json["column_names"] = map.column_names;
    json["values"] = Json::array();
    for (const auto& row : map.values) {
      Json numbers = Json::array();
      for (const double value : row) {
        const double number = rounded(value);
        const bool whole = number == std::floor(number) && std::abs(number) < 1e15;
        numbers.push_back(whole ? Json(static_cast<std::int64_t>(number)) : Json(number));
      }
      json["values"].push_back(std::move(numbers));
    }
    return json;
  }

 private:
  static Json with_kind(const char* kind, const Json& body) {
    Json json = {{"kind", kind}};
    json.update(body);
    return json;
  }
};

std::vector<std::string> read_texts(const JsonReader& list) {
  std::vector<std::string> texts;
  for (const JsonReader& text : list.items()) texts.push_back(text.string());
  return texts;
}

Tiles read_tiles(const JsonReader& reader) {
  Tiles tiles;
  for (const JsonReader& item : reader.at("items").items()) {
    const auto remark = item.find("remark");
    tiles.items.push_back({item.at("label").string(), read_cell(item.at("value"), read_style(item)),
                           remark ? remark->string() : ""});
  }
  return tiles;
}

Chart read_chart(const JsonReader& reader) {
  Chart chart{.title = reader.at("title").string(),
              .draw = named<Draw>(reader.at("draw"), kDrawNames),
              .data = read_table(reader.at("data")),
              .x = reader.at("x").string(),
              .y = reader.at("y").string(),
              .base = 0,
              .most = {},
              .marks = {}};
  if (const auto base = reader.find("base")) chart.base = base->number();
  if (const auto most = reader.find("most")) chart.most = most->number();
  if (const auto marks = reader.find("marks")) {
    for (const JsonReader& mark : marks->items()) {
      chart.marks.push_back({mark.at("x").number(), mark.at("label").string()});
    }
  }
  return chart;
}

HeatMap read_heat_map(const JsonReader& reader) {
  HeatMap map{.title = reader.at("title").string(),
              .rows = reader.at("rows").string(),
              .columns = reader.at("columns").string(),
              .value = reader.at("value").string(),
              .style = read_style(reader),
              .row_names = read_texts(reader.at("row_names")),
              .column_names = read_texts(reader.at("column_names")),
              .values = {}};
  const std::vector<JsonReader> rows = reader.at("values").items();
  if (rows.size() != map.row_names.size()) reader.fail("expected a row of values for each name");
  for (const JsonReader& row : rows) {
    if (row.size() != map.column_names.size()) row.fail("expected a value for each column");
    std::vector<double>& values = map.values.emplace_back();
    for (const JsonReader& value : row.items()) values.push_back(value.number());
  }
  return map;
}

Block read_block(const JsonReader& reader) {
  const std::string kind = reader.at("kind").string();
  if (kind == "note") return Note{reader.at("text").string()};
  if (kind == "verdict") {
    return Conclusion{reader.at("text").string(), named<Tone>(reader.at("tone"), kToneNames),
                      read_texts(reader.at("reasons"))};
  }
  if (kind == "figures") return read_tiles(reader);
  if (kind == "table") return read_table(reader);
  if (kind == "detail") return Detail{read_table(reader)};
  if (kind == "chart") return read_chart(reader);
  if (kind == "heatmap") return read_heat_map(reader);
  reader.at("kind").fail("expected a kind of block that this version knows");
}

}  // namespace

Json block_json(const Block& block) {
  return std::visit(BlockToJson{}, block);
}

Json view_json(const View& view, const Json& result) {
  Json about = Json::object();
  for (const auto& [what, text] : view.about) about[what] = text;
  Json blocks = Json::array();
  for (const Block& block : view.blocks) blocks.push_back(block_json(block));
  return {{"title", view.title},
          {"about", std::move(about)},
          {"figures", declarations_of(result)},
          {"blocks", std::move(blocks)}};
}

View read_view(const JsonReader& reader) {
  View view;
  view.title = reader.at("title").string();
  const JsonReader about = reader.at("about");
  for (const std::string& what : about.keys())
    view.about.emplace_back(what, about.at(what).string());
  for (const JsonReader& block : reader.at("blocks").items())
    view.blocks.push_back(read_block(block));
  return view;
}

}  // namespace moeshift
