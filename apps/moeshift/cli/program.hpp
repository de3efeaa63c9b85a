// SPDX-License-Identifier: Apache-2.0
// From argv to an exit code.
#pragma once

#include <string>
#include <vector>

namespace moeshift::cli {

/// Finds the command, parses its options, runs it and maps what it throws to an exit code:
/// InputError 2, InfeasibleError 1, DeviceError 3, InterruptedError 130. One line to stderr each.
int run_program(const std::vector<std::string>& argv);

}  // namespace moeshift::cli
