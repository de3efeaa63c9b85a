// SPDX-License-Identifier: Apache-2.0
// What may stand next on a command line: the answer to the shells' completions.
#pragma once

#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "apps/moeshift/cli/value_kind.hpp"

namespace moeshift::cli {

struct Completions {
  std::vector<Candidate> candidates;  ///< that begin with the last word
  bool files = false;                 ///< and files, which the shell knows better
};

/// @param words after the program's name, the last one the beginning of what is looked for.
[[nodiscard]] Completions complete(std::span<const std::string> words);

/// A line each, word and description apart by a tab; ":files" as the last where files will do.
void write_completions(std::ostream& out, const Completions& completions);

}  // namespace moeshift::cli
