// SPDX-License-Identifier: Apache-2.0
// What -h and --help print.
#pragma once

#include <string>

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/cli/option_set.hpp"

namespace moeshift::cli {

/// The table of commands.
[[nodiscard]] std::string program_help();
/// The commands of a family, as "trace" is one; empty where no command begins with that word.
[[nodiscard]] std::string family_help(const std::string& family);
/// One command: usage and its own options; `full` adds the common options and an example.
[[nodiscard]] std::string command_help(const CommandEntry& entry, const OptionSet& options,
                                       bool full);

}  // namespace moeshift::cli
