// SPDX-License-Identifier: Apache-2.0
// From argv to an exit code.
#pragma once

#include <string>
#include <vector>

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

class Host;

/// Finds the command, parses its options, runs it and maps what it throws to an exit code:
/// InputError 2, InfeasibleError 1, DeviceError 3, InterruptedError 130. One line to stderr each.
int run_program(const std::vector<std::string>& argv);

/// Runs the command that `argv` (the program's name first) asks for, as the program would, but what
/// it would print goes to `host`.
/// @throws what the command throws; InputError for an unknown command or option.
ExitCode run_for(Host& host, const std::vector<std::string>& argv);

}  // namespace moeshift::cli
