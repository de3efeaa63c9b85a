// SPDX-License-Identifier: Apache-2.0
// Tables and prose in the columns of a terminal.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "moeshift/report/report.hpp"

namespace moeshift {

/// Columns that hold nothing but numbers: right-aligned. None in a table without rows.
[[nodiscard]] std::vector<bool> numeric_columns(const Table& table);

/// `text` broken at spaces so that no line but a single long word is wider than `width`; line
/// breaks in it stay.
[[nodiscard]] std::string wrapped(const std::string& text, std::size_t width);

/// Writes the table aligned. Where it is wider than the terminal its columns of prose wrap, none
/// below its longest word; where that does not suffice its columns are shown part after part, each
/// beside the keys, or without keys it becomes one record per row.
void write_table(std::ostream& out, const Table& table, const Style& style);

}  // namespace moeshift
