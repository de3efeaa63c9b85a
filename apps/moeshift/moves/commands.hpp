// SPDX-License-Identifier: Apache-2.0
// The commands of this folder: one maker each, defined in the file of its name.
#pragma once

#include <memory>

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

[[nodiscard]] std::unique_ptr<Command> make_moves();
[[nodiscard]] std::unique_ptr<Command> make_check_schedule();

}  // namespace moeshift::cli
