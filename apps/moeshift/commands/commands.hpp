// SPDX-License-Identifier: Apache-2.0
// One maker per command; each is defined in the file of its name. In the order of the help.
#pragma once

#include <memory>

#include "apps/moeshift/cli.hpp"

namespace moeshift::cli {

std::unique_ptr<Command> make_completion();
[[nodiscard]] std::unique_ptr<Command> make_plan();
[[nodiscard]] std::unique_ptr<Command> make_calibrate();
[[nodiscard]] std::unique_ptr<Command> make_moves();
[[nodiscard]] std::unique_ptr<Command> make_policies();
[[nodiscard]] std::unique_ptr<Command> make_models();
[[nodiscard]] std::unique_ptr<Command> make_clusters();
[[nodiscard]] std::unique_ptr<Command> make_check();
[[nodiscard]] std::unique_ptr<Command> make_trace_info();
[[nodiscard]] std::unique_ptr<Command> make_trace_convert();
[[nodiscard]] std::unique_ptr<Command> make_trace_generate();
[[nodiscard]] std::unique_ptr<Command> make_export();
[[nodiscard]] std::unique_ptr<Command> make_compare();
[[nodiscard]] std::unique_ptr<Command> make_execute();
[[nodiscard]] std::unique_ptr<Command> make_backends();
[[nodiscard]] std::unique_ptr<Command> make_simulate();
[[nodiscard]] std::unique_ptr<Command> make_sweep();
[[nodiscard]] std::unique_ptr<Command> make_diagnose();
[[nodiscard]] std::unique_ptr<Command> make_report();

}  // namespace moeshift::cli
