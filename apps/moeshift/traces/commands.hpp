// SPDX-License-Identifier: Apache-2.0
// The commands of this folder: one maker each, defined in the file of its name.
#pragma once

#include <memory>

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

[[nodiscard]] std::unique_ptr<Command> make_trace_info();
[[nodiscard]] std::unique_ptr<Command> make_trace_convert();
[[nodiscard]] std::unique_ptr<Command> make_trace_join();
[[nodiscard]] std::unique_ptr<Command> make_trace_select();
[[nodiscard]] std::unique_ptr<Command> make_trace_routes();
[[nodiscard]] std::unique_ptr<Command> make_trace_generate();

}  // namespace moeshift::cli
