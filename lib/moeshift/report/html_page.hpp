// SPDX-License-Identifier: Apache-2.0
// One self-contained HTML file: no script, no font, no picture from elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/report/table.hpp"

namespace moeshift {

/// A figure that deserves to be large.
struct KeyFigure {
  std::string label;
  std::string value;
  std::string remark;  ///< small, below; may be empty
};

/// Grows section by section. Everything that is not called `svg` is escaped.
class HtmlPage {
 public:
  explicit HtmlPage(std::string title);

  /// Begins a section. @param kicker what kind of result this is. @param origin command line and
  /// version, shown small.
  void section(std::string_view kicker, std::string_view title, std::string_view origin);
  void heading(std::string_view text);
  void paragraph(std::string_view text);
  /// A verdict: large, in a box. @param good colours the edge.
  void verdict(std::string_view text, const std::vector<std::string>& reasons, bool good);
  void figures(const std::vector<KeyFigure>& figures);
  void chart(std::string_view caption, const std::string& svg);
  /// Folded away behind its title when it is long.
  void table(const Table& table, bool folded = false);

  /// The whole document.
  [[nodiscard]] std::string finish() &&;

 private:
  std::string title_;
  std::vector<std::pair<std::string, std::string>> contents_;  ///< anchor, text
  std::string body_;
  bool open_ = false;
};

}  // namespace moeshift
