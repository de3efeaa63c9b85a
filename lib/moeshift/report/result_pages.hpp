// SPDX-License-Identifier: Apache-2.0
// One function per command: its result as charts and tables. Missing keys leave things out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/charts.hpp"
#include "moeshift/report/html_page.hpp"

namespace moeshift::pages {

using Json = nlohmann::ordered_json;

void show_plan(HtmlPage& page, const Json& result);
void show_moves(HtmlPage& page, const Json& result);
void show_execute(HtmlPage& page, const Json& result);
void show_compare(HtmlPage& page, const Json& result);
void show_sweep(HtmlPage& page, const Json& result);
void show_simulate(HtmlPage& page, const Json& result);
void show_diagnose(HtmlPage& page, const Json& result);
/// Every figure under its path.
void show_anything(HtmlPage& page, const Json& result);

/// The value at a dotted path; null when there is none.
[[nodiscard]] const Json& value_at(const Json& json, std::string_view dotted);
[[nodiscard]] std::optional<double> number_at(const Json& json, std::string_view dotted);
/// "" when there is none.
[[nodiscard]] std::string text_at(const Json& json, std::string_view dotted);
[[nodiscard]] bool true_at(const Json& json, std::string_view dotted);
/// The objects of a list; none when there is no such list.
[[nodiscard]] std::vector<const Json*> rows_at(const Json& json, std::string_view dotted);
/// Numbers of one key over rows; NaN where a row lacks it.
[[nodiscard]] std::vector<double> column_of(const std::vector<const Json*>& rows,
                                            std::string_view dotted);
/// Texts likewise; whole numbers as they are.
[[nodiscard]] std::vector<std::string> labels_of(const std::vector<const Json*>& rows,
                                                 std::string_view dotted);
/// Sum of all values of an object such as "bytes_by_link".
[[nodiscard]] std::optional<double> sum_at(const Json& json, std::string_view dotted);
/// Adds "label: value" when the result has it.
void add_figure(std::vector<KeyFigure>& figures, const std::string& label,
                const std::optional<std::string>& value, const std::string& remark = "");
[[nodiscard]] std::optional<std::string> shown(const std::optional<double>& value, Unit unit);
[[nodiscard]] Cell four_digits(double value);
[[nodiscard]] Cell seconds_cell(double value);
[[nodiscard]] Cell count_cell(double value);
[[nodiscard]] Cell bytes_cell(double value);
[[nodiscard]] Cell cell_of(const std::optional<double>& number, Cell (*make)(double));

}  // namespace moeshift::pages
