// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/figure.hpp"

#include <array>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kBetterNames = {"lower", "higher", "neither"};

Cell cell_of(const NumberStyle& style, double value) {
  return std::isfinite(value) ? Cell::styled(value, style) : Cell::empty();
}

template <class Figures>
Json object_from(const Figures& figures) {
  Json json = Json::object();
  for (const FigureValue& one : figures) {
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) {
            json[std::string(one.figure->key)] = nullptr;
          } else {
            json[std::string(one.figure->key)] = value;
          }
        },
        one.value);
  }
  return json;
}

}  // namespace

FigureValue Figure::operator()(double value) const {
  return {this, value};
}
FigureValue Figure::operator()(std::size_t value) const {
  return {this, static_cast<std::int64_t>(value)};
}
FigureValue Figure::operator()(std::int64_t value) const {
  return {this, value};
}
FigureValue Figure::operator()(bool value) const {
  return {this, value};
}
FigureValue Figure::operator()(std::string value) const {
  return {this, std::move(value)};
}
FigureValue Figure::operator()(Seconds value) const {
  return {this, value.count()};
}
FigureValue Figure::operator()(Bytes value) const {
  return {this, value.count()};
}
FigureValue Figure::operator()(BytesPerSecond value) const {
  return {this, value.count()};
}
FigureValue Figure::unknown() const {
  return {this, std::monostate{}};
}

Cell FigureValue::cell() const {
  if (const auto* text = std::get_if<std::string>(&value)) return Cell::text(*text);
  if (const auto* flag = std::get_if<bool>(&value)) return Cell::text(*flag ? "yes" : "no");
  if (const auto* number = std::get_if<double>(&value)) return cell_of(figure->style(), *number);
  if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    if (figure->unit == Unit::kBytes) return Cell::bytes(Bytes(*whole));
    if (figure->unit == Unit::kCount) return Cell::count(*whole);
    return cell_of(figure->style(), static_cast<double>(*whole));
  }
  return Cell::empty();
}

Json object_of(std::initializer_list<FigureValue> figures) {
  return object_from(figures);
}
Json object_of(std::span<const FigureValue> figures) {
  return object_from(figures);
}

void put(Json& object, const Figure& figure, Json parts) {
  object[std::string(figure.key)] = std::move(parts);
}

Table figure_table(std::span<const FigureValue> figures) {
  Table table{"", {"metric", "value", "meaning"}, {}};
  for (const FigureValue& one : figures) {
    table.rows.push_back({Cell::text(std::string(one.figure->key)), one.cell(),
                          Cell::text(std::string(one.figure->meaning))});
  }
  return table;
}

std::string_view name_of(Better better) {
  return kBetterNames[static_cast<std::size_t>(better)];
}

Better better_named(std::string_view name) {
  for (std::size_t i = 0; i < kBetterNames.size(); ++i) {
    if (kBetterNames[i] == name) return static_cast<Better>(i);
  }
  return Better::kNeither;
}

}  // namespace moeshift
