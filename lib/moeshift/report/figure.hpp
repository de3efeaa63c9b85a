// SPDX-License-Identifier: Apache-2.0
// A figure is declared once: its key in results, its unit, which way is better, how it is shown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/core/units.hpp"
#include "moeshift/report/table.hpp"

namespace moeshift {

/// Which way a figure should go. `kNeither`: any change beyond a tolerance counts as worse.
enum class Better { kLower, kHigher, kNeither };

struct FigureValue;

/// The declaration. Results name it by `key`; tables and pages by `label`; both come from here, so
/// that they cannot differ. Get one by figure("key"), which does not compile for an unknown key.
struct Figure {
  std::string_view key;
  Unit unit = Unit::kPlain;
  Better better = Better::kNeither;
  std::string_view label;
  std::string_view meaning;
  int digits = 4;     ///< after the point, of plain numbers and shares
  bool part = false;  ///< "mean", "intra_node": belongs to the figure that its parent names

  [[nodiscard]] constexpr NumberStyle style() const { return {unit, digits}; }

  [[nodiscard]] FigureValue operator()(double value) const;
  [[nodiscard]] FigureValue operator()(std::size_t value) const;
  [[nodiscard]] FigureValue operator()(std::int64_t value) const;
  [[nodiscard]] FigureValue operator()(bool value) const;
  [[nodiscard]] FigureValue operator()(std::string value) const;
  [[nodiscard]] FigureValue operator()(Seconds value) const;
  [[nodiscard]] FigureValue operator()(Bytes value) const;
  [[nodiscard]] FigureValue operator()(BytesPerSecond value) const;
  /// Not known: null in JSON, "-" in tables.
  [[nodiscard]] FigureValue unknown() const;
};

/// A figure with its value: a key and a number in JSON, a cell in a table, a tile on a page.
struct FigureValue {
  using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

  const Figure* figure = nullptr;
  Value value;

  [[nodiscard]] Cell cell() const;
  operator Cell() const { return cell(); }  // NOLINT(google-explicit-constructor): rows of cells
};

/// {"key": value, ...} in the order given.
[[nodiscard]] nlohmann::ordered_json object_of(std::initializer_list<FigureValue> figures);
[[nodiscard]] nlohmann::ordered_json object_of(std::span<const FigureValue> figures);

/// Puts what has parts under the figure's key: object[figure.key] = parts.
void put(nlohmann::ordered_json& object, const Figure& figure, nlohmann::ordered_json parts);

/// The rows "metric, value, meaning" of some figures.
[[nodiscard]] Table figure_table(std::span<const FigureValue> figures);

/// "lower", "higher", "neither".
[[nodiscard]] std::string_view name_of(Better better);
/// @return kNeither for an unknown name
[[nodiscard]] Better better_named(std::string_view name);

}  // namespace moeshift
