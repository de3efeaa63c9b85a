// SPDX-License-Identifier: Apache-2.0
// Options that are not on the command line: from the environment and from a file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/cli/option_set.hpp"

namespace moeshift::cli {

/// One key of a settings file.
struct ConfigKey {
  std::string section;  ///< "plan", "trace.info"; empty at the top
  std::string key;
  std::vector<std::string> values;
};

/// The keys of a TOML file in the dialect that CLI11 reads: `key = value`, arrays, [sections].
/// @throws InputError when it cannot be read.
[[nodiscard]] std::vector<ConfigKey> read_config(const std::string& path);

/// What was said of an option, and where.
struct Setting {
  std::vector<std::string> words;  ///< none for a flag
  std::string origin;              ///< "command line", "MOESHIFT_RANKS", "moeshift.toml"
};

/// By the option's main name: "--ranks".
using Settings = std::map<std::string, Setting>;

/// Adds to `given` (the command line) what the environment says, then what the file says: of one
/// option the first counts alone. The file is what --config or MOESHIFT_CONFIG names, else
/// moeshift.toml in the current folder, where there is one; its keys at the top are meant for every
/// command that has such an option, those of [plan] or [trace.info] for one.
/// @throws InputError for a section that is no command, a key that is no option, a variable that
///         looks like a misspelt option, and a file that cannot be read.
void add_settings(const OptionSet& options, const CommandEntry& command, Settings& given);

/// Whether some command has an option of this name: "ranks" of --ranks.
[[nodiscard]] bool is_option(std::string_view name);

/// Every option of the command with its value and its origin, as a settings file.
[[nodiscard]] std::string settings_text(const OptionSet& options, const CommandEntry& command,
                                        const Settings& given);

}  // namespace moeshift::cli
