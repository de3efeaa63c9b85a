// SPDX-License-Identifier: Apache-2.0
// Shell completions and the manual page, from the same table that parses and helps.
#pragma once

#include <iosfwd>
#include <vector>

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/cli/option_set.hpp"

namespace moeshift::cli {

/// The options of a command as it declares them, the common ones included.
[[nodiscard]] OptionSet options_of(Command& command);

void write_bash_completion(std::ostream& out);
void write_zsh_completion(std::ostream& out);
void write_fish_completion(std::ostream& out);
/// One page for the program, in man(7) macros.
void write_man_page(std::ostream& out);

}  // namespace moeshift::cli
