// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/terminal.hpp"

#include <unistd.h>

#include "moeshift/core/error.hpp"

namespace moeshift::cli {

void refuse_terminal(const std::string& path, const std::string& what) {
  if (path != "-" || ::isatty(STDOUT_FILENO) == 0) return;
  throw InputError("--output", "expected a file for " + what + ", which no terminal can show");
}

}  // namespace moeshift::cli
