// SPDX-License-Identifier: Apache-2.0
// The only file that includes CLI11 (it is slow to compile, and its habits are kept in here: exit
// codes above 100, leftovers in reverse, silent sign changes).
#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"

#include "apps/moeshift/cli/option_set.hpp"

namespace moeshift::cli {
namespace {

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

void add_to(CLI::App& app, const OptionRecord& record) {
  const auto store = [&record](const std::vector<std::string>& words) {
    record.store(words);
    return true;
  };
  if (record.value_name.empty()) {
    app.add_flag_callback(record.names, [&record] { record.store({}); });
    return;
  }
  CLI::Option* option = app.add_option(record.names, store);
  option->required(record.required);
  if (record.many) {
    option->expected(record.positional ? -1 : 1)->take_all();
  } else {
    option->expected(1);
  }
  if (record.many && !record.positional)
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

void parse_options(const OptionSet& options, const std::vector<std::string>& words) {
  CLI::App app;
  app.set_help_flag("");
  for (const OptionRecord& record : options.records()) add_to(app, record);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ExtrasError&) {
    const std::string unknown = unknown_option(options, words);
    if (!unknown.empty()) throw InputError("", unknown);
    throw InputError("", fmt::format("unexpected argument '{}'", app.remaining().front()));
  } catch (const CLI::ParseError& error) {
    const std::string unknown = unknown_option(options, words);
    throw InputError("", unknown.empty() ? error.what() : unknown);
  }
}

}  // namespace moeshift::cli
