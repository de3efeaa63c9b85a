// SPDX-License-Identifier: Apache-2.0
// The table of commands.
#include <vector>

#include "apps/moeshift/commands/commands.hpp"

namespace moeshift::cli {

std::span<const CommandEntry> commands() {
  static const std::vector<CommandEntry> kCommands = {
      {"completion", "shell completion or the manual page",
       "source <(moeshift completion --for bash)", make_completion},
  };
  return kCommands;
}

}  // namespace moeshift::cli
