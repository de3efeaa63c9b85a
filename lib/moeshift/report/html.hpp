// SPDX-License-Identifier: Apache-2.0
// Views as one HTML page that needs nothing else: tables for everybody, charts where scripts run.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

#include "moeshift/report/report.hpp"

namespace moeshift {

/// A view and where it came from.
struct PageSection {
  std::string source;   ///< the file's path
  std::string command;  ///< "plan"
  std::string origin;   ///< the command line that made it, with the version
  std::string date;     ///< of the file; may be empty
  View view;
};

/// One section per view in the order given; above several, a summary with links. Every text is
/// escaped. The charting library, scripts and styles are in the page; it fetches nothing. Charts
/// carry their figures as tables too, which is what is left without scripts. Equal input, equal
/// bytes.
void write_html(std::ostream& out, std::span<const PageSection> sections);

/// Text for between tags and inside attributes; bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string escape_html(std::string_view text);

}  // namespace moeshift
