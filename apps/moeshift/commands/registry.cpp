// SPDX-License-Identifier: Apache-2.0
// The table of commands.
#include <vector>

#include "apps/moeshift/commands/commands.hpp"

namespace moeshift::cli {

std::span<const CommandEntry> commands() {
  static const std::vector<CommandEntry> kCommands = {};
  return kCommands;
}

}  // namespace moeshift::cli
