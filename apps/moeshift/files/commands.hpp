// SPDX-License-Identifier: Apache-2.0
// The commands of this folder: one maker each, defined in the file of its name.
#pragma once

#include <memory>

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

[[nodiscard]] std::unique_ptr<Command> make_models();
[[nodiscard]] std::unique_ptr<Command> make_models_import();
[[nodiscard]] std::unique_ptr<Command> make_clusters();
[[nodiscard]] std::unique_ptr<Command> make_check();
[[nodiscard]] std::unique_ptr<Command> make_report();
[[nodiscard]] std::unique_ptr<Command> make_export();

}  // namespace moeshift::cli
