// SPDX-License-Identifier: Apache-2.0
// Results of any commands as one HTML page.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace moeshift {

/// A result file.
struct ResultDocument {
  std::string source;  ///< its path, for headings and errors
  const nlohmann::ordered_json* envelope = nullptr;
};

/// Writes one section per result, in the order given: charts and tables for plan, moves, execute,
/// compare, sweep, simulate and diagnose; the figures as they are for anything else. What a result
/// lacks (files of older versions) is left out. Everything from the files is escaped.
/// @throws InputError "source#/schema: ..." for a document that is no result.
void write_html_report(std::ostream& out, std::span<const ResultDocument> documents);

}  // namespace moeshift
