// SPDX-License-Identifier: Apache-2.0
// The only file that includes CLI11 (it is slow to compile, and its habits are kept in here: exit
// codes above 100, leftovers in reverse, silent sign changes).
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "moeshift/core/byte_order_mark.hpp"
#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"

#include "apps/moeshift/cli/option_set.hpp"
#include "apps/moeshift/cli/settings.hpp"

namespace moeshift::cli {
namespace {

using Given = std::map<std::string, std::vector<std::string>>;

/// The first word that looks like an option and is none of ours, with what may have been meant.
std::string unknown_option(const OptionSet& options, const std::vector<std::string>& words) {
  std::vector<std::string> known;
  for (const OptionRecord& record : options.records()) {
    if (record.positional) continue;
    for (std::string& name : spellings(record)) known.push_back(std::move(name));
  }
  const std::vector<std::string_view> views(known.begin(), known.end());
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (name.size() < 2 || name[0] != '-') continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    if (name[1] != '-' && std::find(known.begin(), known.end(), name.substr(0, 2)) != known.end()) {
      continue;
    }
    return fmt::format("unknown option '{}'{}", name, did_you_mean(name, views));
  }
  return "";
}

void add_to(CLI::App& app, const OptionRecord& record, Given& given) {
  const auto store = [&record, &given](const std::vector<std::string>& words) {
    if (words.size() > 1 && !record.many) {
      throw InputError(main_name(record.names),
                       fmt::format("is there {} times; expected it once", words.size()));
    }
    record.store(words);
    given[main_name(record.names)] = words;
    return true;
  };
  if (record.value_name.empty()) {
    app.add_flag_callback(record.names, [store] { store({}); });
    return;
  }
  CLI::Option* option = app.add_option(record.names, store);
  if (record.many) {
    option->expected(record.positional ? -1 : 1)->take_all();
  } else {
    option->expected(1);
  }
  if (!record.positional) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

Given parse_options(const OptionSet& options, const std::vector<std::string>& words) {
  Given given;
  CLI::App app;
  app.set_help_flag("");
  for (const OptionRecord& record : options.records()) add_to(app, record, given);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ExtrasError&) {
    const std::string unknown = unknown_option(options, words);
    if (!unknown.empty()) throw InputError("", unknown);
    throw InputError("", fmt::format("unexpected argument '{}'", app.remaining().front()));
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string unknown = unknown_option(options, words);
    const std::string text = error.what();
    if (!unknown.empty()) throw InputError("", unknown);
    if (text.find("missing") == std::string::npos) throw InputError("", text);
    throw InputError(text.substr(0, text.find(':')), "expected a value");
  } catch (const CLI::ParseError& error) {
    const std::string unknown = unknown_option(options, words);
    throw InputError("", unknown.empty() ? error.what() : unknown);
  }
  return given;
}

std::vector<ConfigKey> read_config(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw InputError(path, std::string("cannot be read: ") + std::strerror(errno));
  std::string start(8, '\0');
  in.read(start.data(), 8);
  start.resize(static_cast<std::size_t>(in.gcount()));
  in.clear();
  in.seekg(static_cast<std::streamoff>(byte_order_mark(start, path)));
  std::vector<ConfigKey> keys;
  try {
    for (CLI::ConfigItem& item : CLI::ConfigTOML().from_config(in)) {
      if (item.name == "++" || item.name == "--") continue;  // where a section begins and ends
      keys.push_back({fmt::format("{}", fmt::join(item.parents, ".")), std::move(item.name),
                      std::move(item.inputs)});
    }
  } catch (const CLI::Error& error) {
    throw InputError(path, error.what());
  }
  return keys;
}

}  // namespace moeshift::cli
