// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/settings.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"

#include "apps/moeshift/cli/generate.hpp"

namespace moeshift::cli {
namespace {

constexpr std::string_view kPrefix = "MOESHIFT_";
constexpr const char* kUsualFile = "moeshift.toml";

/// What the ranks of an execution tell each other, and no option of a user.
constexpr std::array<std::string_view, 4> kOfRanks = {"MOESHIFT_RANK", "MOESHIFT_WORLD",
                                                      "MOESHIFT_RENDEZVOUS", "MOESHIFT_TOKEN"};

/// "--tokens-per-step" as "tokens-per-step"; keys may also be written with '_'.
std::string key_of(const std::string& option) {
  return option.substr(std::min(option.find_first_not_of('-'), option.size()));
}

std::string as_key(std::string text) {
  std::ranges::replace(text, '_', '-');
  return text;
}

const OptionRecord* option_of(const OptionSet& options, const std::string& key) {
  for (const OptionRecord& record : options.records()) {
    if (!record.positional && key_of(main_name(record.names)) == key) return &record;
  }
  return nullptr;
}

/// The keys of all options of all commands.
const std::set<std::string>& all_keys() {
  static const std::set<std::string> kKeys = [] {
    std::set<std::string> keys;
    for (const CommandEntry& entry : commands()) {
      const std::unique_ptr<Command> command = entry.make();
      const OptionSet options = options_of(*command);
      for (const OptionRecord& record : options.records()) {
        if (!record.positional) keys.insert(key_of(main_name(record.names)));
      }
    }
    return keys;
  }();
  return kKeys;
}

std::string meant_key(const std::string& key, const std::set<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  return did_you_mean(key, views);
}

std::set<std::string> keys_of(const OptionSet& options) {
  std::set<std::string> keys;
  for (const OptionRecord& record : options.records()) {
    if (!record.positional) keys.insert(key_of(main_name(record.names)));
  }
  return keys;
}

bool means_yes(const std::string& word, const std::string& where) {
  for (const char* yes : {"1", "true", "yes", "on"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"", "0", "false", "no", "off"}) {
    if (word == no) return false;
  }
  throw InputError(where, fmt::format("expected true or false, got '{}'", word));
}

/// Stores what is said there; an option that was said before stays.
void set(const OptionRecord& record, const std::vector<std::string>& words,
         const std::string& origin, const std::string& where, Settings& given) {
  const std::string name = main_name(record.names);
  if (given.contains(name)) return;
  const bool flag = record.value_name.empty();
  if (flag && !means_yes(words.empty() ? "true" : words.front(), where)) return;
  if (!flag && words.size() != 1 && !record.many) {
    throw InputError(where, fmt::format("expected one value, got {}", words.size()));
  }
  try {
    record.store(flag ? std::vector<std::string>() : words);
  } catch (const InputError& error) {
    throw InputError(where, error.what());
  }
  given[name] = {flag ? std::vector<std::string>() : words, origin};
}

void add_environment(const OptionSet& options, Settings& given) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string name(text.substr(0, text.find('=')));
    if (!name.starts_with(kPrefix) || std::ranges::find(kOfRanks, name) != kOfRanks.end()) continue;
    std::string key = as_key(name.substr(kPrefix.size()));
    std::ranges::transform(key, key.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::string value(text.substr(std::min(name.size() + 1, text.size())));
    if (const OptionRecord* record = option_of(options, key)) {
      if (!value.empty()) set(*record, {value}, name, name, given);
      continue;
    }
    if (all_keys().contains(key)) continue;  // of another command
    // A variable of somebody else may begin with our name; a slip of the hand is told.
    const std::string meant = meant_key(key, all_keys());
    if (!meant.empty()) throw InputError(name, "is no option" + meant);
  }
}

/// "trace info" as a section is called.
std::string section_of(std::string_view path) {
  std::string section(path);
  std::ranges::replace(section, ' ', '.');
  return section;
}

void check_section(const ConfigKey& key, const std::string& where) {
  if (key.section.empty()) return;
  std::set<std::string> known;
  for (const CommandEntry& entry : commands()) known.insert(section_of(entry.path));
  if (known.contains(key.section)) return;
  throw InputError(where,
                   fmt::format("[{}] is no command{}", key.section, meant_key(key.section, known)));
}

void add_file(const std::string& path, const OptionSet& options, const CommandEntry& command,
              Settings& given) {
  const std::string section = section_of(command.path);
  std::vector<ConfigKey> keys = read_config(path);
  // What is said for this command stands above what is said for all.
  std::ranges::stable_partition(keys, [&](const ConfigKey& key) { return key.section == section; });
  for (const ConfigKey& key : keys) {
    check_section(key, path);
    const std::string name = as_key(key.key);
    const std::string where =
        fmt::format("{}: {}", path, key.section.empty() ? name : key.section + "." + name);
    const bool ours = key.section == section;
    if (key.section.empty() && !all_keys().contains(name)) {
      throw InputError(where, "is no option of any command" + meant_key(name, all_keys()));
    }
    const OptionRecord* record = option_of(options, name);
    if (ours && record == nullptr) {
      throw InputError(where, fmt::format("is no option of '{}'{}", command.path,
                                          meant_key(name, keys_of(options))));
    }
    if (name == "config" || name == "show-config") {
      throw InputError(where, "belongs on the command line");
    }
    if (record != nullptr && (ours || key.section.empty())) {
      set(*record, key.values, path, where, given);
    }
  }
}

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::isdigit(c) != 0 || c == '.';
  });
  return plain ? word : '"' + word + '"';
}

std::string value_text(const OptionRecord& record, const std::vector<std::string>& words) {
  if (record.value_name.empty()) return words.empty() ? "true" : words.front();
  std::vector<std::string> parts;
  for (const std::string& word : words) parts.push_back(quoted(word));
  if (parts.size() == 1) return parts.front();
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

}  // namespace

bool is_option(std::string_view name) {
  return all_keys().contains(std::string(name));
}

void add_settings(const OptionSet& options, const CommandEntry& command, Settings& given) {
  add_environment(options, given);
  const auto named = given.find("--config");
  std::error_code error;
  if (named != given.end()) {
    if (named->second.words.front() != "none") {
      add_file(named->second.words.front(), options, command, given);
    }
  } else if (std::filesystem::is_regular_file(kUsualFile, error)) {
    add_file(kUsualFile, options, command, given);
  }
}

std::string settings_text(const OptionSet& options, const CommandEntry& command,
                          const Settings& given) {
  std::string text = fmt::format("# what `moeshift {}` would use, and who says so\n[{}]\n",
                                 command.path, section_of(command.path));
  for (const OptionRecord& record : options.records()) {
    const std::string name = main_name(record.names);
    if (record.positional || name == "--config" || name == "--show-config") continue;
    const auto said = given.find(name);
    std::string line;
    if (said != given.end()) {
      line = fmt::format("{} = {}", key_of(name), value_text(record, said->second.words));
    } else if (!record.default_text.empty()) {
      line = fmt::format("{} = {}", key_of(name), value_text(record, {record.default_text}));
    } else {
      line = fmt::format("# {} =", key_of(name));
    }
    const std::string origin = said != given.end()           ? said->second.origin
                               : record.default_text.empty() ? "not set"
                                                             : "default";
    text += fmt::format("{:<34}# {}\n", line, origin);
  }
  return text;
}

}  // namespace moeshift::cli
