// SPDX-License-Identifier: Apache-2.0
// The table of commands.
#include <vector>

#include "apps/moeshift/commands/commands.hpp"

namespace moeshift::cli {

std::span<const CommandEntry> commands() {
  static const std::vector<CommandEntry> kCommands = {
      {"completion", "shell completion or the manual page",
       "source <(moeshift completion --for bash)", make_completion},
      {"plan", "choose where every expert replica lives",
       "moeshift plan trace.jsonl --ranks 32 --slots 288 --nodes 4 --policy deepseek -o plan.json",
       make_plan},
      {"policies", "list the placement policies", "moeshift policies", make_policies},
  };
  return kCommands;
}

}  // namespace moeshift::cli
