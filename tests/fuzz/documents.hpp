// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets feed beside recordings: every other kind of document, and what consumes it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moeshift::test {

/// A kind of document: models, clusters, serving machines, results, journals, frames, lists of
/// calls, plan files.
struct DocumentKind {
  std::string_view name;
  /// Reads the bytes and uses what was read as the program does.
  /// @return true when they were accepted. Errors that a user is shown are caught: anything else is
  ///         a finding.
  bool (*feed)(const std::string& bytes);
  /// Documents that are accepted.
  std::vector<std::string> (*seeds)();
};

[[nodiscard]] std::span<const DocumentKind> document_kinds();

}  // namespace moeshift::test
