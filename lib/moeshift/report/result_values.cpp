// SPDX-License-Identifier: Apache-2.0
// Values of a result by their paths, and the page for results that have no page of their own.
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "moeshift/report/metric_path.hpp"
#include "moeshift/report/result_pages.hpp"

namespace moeshift::pages {
namespace {

const Json kNothing = nullptr;

}  // namespace

const Json& value_at(const Json& json, std::string_view dotted) {
  const Json* value = &json;
  for (const std::string& part : split_path(dotted)) {
    if (!value->is_object() || !value->contains(part)) return kNothing;
    value = &(*value)[part];
  }
  return *value;
}

std::optional<double> number_at(const Json& json, std::string_view dotted) {
  const Json& value = value_at(json, dotted);
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

std::string text_at(const Json& json, std::string_view dotted) {
  const Json& value = value_at(json, dotted);
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool true_at(const Json& json, std::string_view dotted) {
  const Json& value = value_at(json, dotted);
  return value.is_boolean() && value.get<bool>();
}

std::vector<const Json*> rows_at(const Json& json, std::string_view dotted) {
  std::vector<const Json*> rows;
  const Json& list = value_at(json, dotted);
  if (!list.is_array()) return rows;
  for (const Json& row : list) {
    if (row.is_object()) rows.push_back(&row);
  }
  return rows;
}

std::vector<double> column_of(const std::vector<const Json*>& rows, std::string_view dotted) {
  std::vector<double> column;
  for (const Json* row : rows) {
    column.push_back(number_at(*row, dotted).value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  return column;
}

std::vector<std::string> labels_of(const std::vector<const Json*>& rows, std::string_view dotted) {
  std::vector<std::string> labels;
  for (const Json* row : rows) {
    const Json& value = value_at(*row, dotted);
    labels.push_back(value.is_string() ? value.get<std::string>()
                                       : (value.is_number() ? value.dump() : std::string()));
  }
  return labels;
}

std::optional<double> sum_at(const Json& json, std::string_view dotted) {
  const Json& object = value_at(json, dotted);
  if (!object.is_object()) return std::nullopt;
  double sum = 0;
  for (const auto& [key, value] : object.items()) {
    if (value.is_number()) sum += value.get<double>();
  }
  return sum;
}

void add_figure(std::vector<KeyFigure>& figures, const std::string& label,
                const std::optional<std::string>& value, const std::string& remark) {
  if (value) figures.push_back({label, *value, remark});
}

std::optional<std::string> shown(const std::optional<double>& value, Unit unit) {
  if (!value) return std::nullopt;
  return in_unit(*value, unit);
}

Cell four_digits(double value) {
  return Cell::decimal(value, 4);
}
Cell seconds_cell(double value) {
  return Cell::seconds(Seconds(value));
}
Cell count_cell(double value) {
  return Cell::count(static_cast<std::int64_t>(std::llround(value)));
}
Cell bytes_cell(double value) {
  return Cell::bytes(Bytes(std::llround(value)));
}
Cell cell_of(const std::optional<double>& number, Cell (*make)(double)) {
  return number && std::isfinite(*number) ? make(*number) : Cell::empty();
}

void show_anything(HtmlPage& page, const Json& result) {
  Table table{"", {"figure", "value"}, {}};
  for (const MetricLeaf& leaf : leaves_of(result)) {
    const std::string shown =
        leaf.value->is_string() ? leaf.value->get<std::string>() : leaf.value->dump();
    table.rows.push_back(
        {Cell::text(join_path(leaf.path)), {shown, shown, leaf.value->is_number()}});
  }
  page.table(table);
}

}  // namespace moeshift::pages
