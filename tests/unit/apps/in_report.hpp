// SPDX-License-Identifier: Apache-2.0
// What a report shows, for tests that look for it.
#pragma once

#include <cstdlib>
#include <string>
#include <variant>

#include "moeshift/report/report.hpp"

#include "tests/support/catch.hpp"

namespace moeshift::test {

/// The first block of that kind; a failed test where there is none.
template <class Kind>
const Kind& block_in(const Report& report) {
  for (const Block& block : report.blocks()) {
    if (const auto* found = std::get_if<Kind>(&block)) return *found;
  }
  FAIL("no such block");
  std::abort();
}

/// The second cell of the row that begins with `name`; "no row".
inline std::string shown_beside(const Table& table, const std::string& name) {
  for (const std::vector<Cell>& row : table.rows) {
    if (row[0].shown == name) return row[1].shown;
  }
  return "no row";
}

}  // namespace moeshift::test
