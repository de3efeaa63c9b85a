// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/option_set.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"

#include "apps/moeshift/cli/option_value.hpp"
#include "apps/moeshift/cli/value_kind.hpp"

namespace moeshift::cli {
namespace {

[[noreturn]] void refuse_empty(const std::string& names, const std::string& word) {
  throw InputError(main_name(names),
                   fmt::format("expected values such as A,B, got an empty one in '{}'", word));
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

void check_choice(const std::string& names, const std::vector<std::string>& choices,
                  const std::string& word) {
  if (std::find(choices.begin(), choices.end(), word) != choices.end()) return;
  const std::vector<std::string_view> known(choices.begin(), choices.end());
  throw InputError(main_name(names),
                   fmt::format("expected one of {}, got '{}'{}", fmt::join(choices, ", "), word,
                               did_you_mean(word, known)));
}

}  // namespace

OptionRecord& OptionSet::add(const std::string& names, const std::string& value_name,
                             const std::string& help, std::string default_text,
                             std::function<void(const std::string&)> store_one) {
  OptionRecord& record = records_.emplace_back();
  record.names = names;
  const std::string_view called = value_name_of(main_name(names)).name;
  record.value_name = value_name == "TEXT" && !called.empty() ? called : value_name;
  record.help = help;
  // A help that tells of a default knows better than the value that stands for it.
  if (help.find("default") == std::string::npos) record.default_text = std::move(default_text);
  record.common = common_;
  record.section = section_;
  record.store = [store = std::move(store_one)](const std::vector<std::string>& words) {
    for (const std::string& word : words) store(word);
  };
  return record;
}

void OptionSet::positional(const std::string& name, std::string& value, const std::string& help,
                           bool required) {
  OptionRecord& record =
      add(name, name, help, value, [&value](const std::string& word) { value = word; });
  record.positional = true;
  record.required = required;
}

void OptionSet::positionals(const std::string& name, std::vector<std::string>& values,
                            const std::string& help, bool required) {
  OptionRecord& record =
      add(name, name, help, "", [&values](const std::string& word) { values.push_back(word); });
  record.positional = true;
  record.many = true;
  record.required = required;
}

void OptionSet::option(const std::string& names, std::string& value, const std::string& help) {
  add(names, "TEXT", help, value, [&value](const std::string& word) { value = word; });
}

void OptionSet::option(const std::string& names, std::optional<std::string>& value,
                       const std::string& help) {
  add(names, "TEXT", help, "", [&value](const std::string& word) { value = word; });
}

void OptionSet::option(const std::string& names, std::size_t& value, const std::string& help) {
  add(names, "N", help, std::to_string(value),
      [&value, names](const std::string& word) { value = parse_count(main_name(names), word); });
}

void OptionSet::option(const std::string& names, std::optional<std::size_t>& value,
                       const std::string& help) {
  add(names, "N", help, "",
      [&value, names](const std::string& word) { value = parse_count(main_name(names), word); });
}

void OptionSet::option(const std::string& names, double& value, const std::string& help) {
  add(names, "X", help, fmt::format("{}", value),
      [&value, names](const std::string& word) { value = parse_number(main_name(names), word); });
}

void OptionSet::option(const std::string& names, std::optional<double>& value,
                       const std::string& help) {
  add(names, "X", help, "",
      [&value, names](const std::string& word) { value = parse_number(main_name(names), word); });
}

void OptionSet::option(const std::string& names, std::optional<Bytes>& value,
                       const std::string& help) {
  add(names, "BYTES", help, "",
      [&value, names](const std::string& word) { value = parse_bytes(main_name(names), word); });
}

void OptionSet::list(const std::string& names, std::vector<std::string>& values,
                     const std::string& help) {
  std::string default_text = fmt::format("{}", fmt::join(values, ","));
  // What is given replaces the default; a second --option adds to the first.
  auto given = std::make_shared<bool>(false);
  OptionRecord& record = add(names, "A,B,...", help, std::move(default_text),
                             [&values, given, names](const std::string& word) {
                               if (!*given) values.clear();
                               *given = true;
                               for (std::string& part : split_commas(word)) {
                                 if (part.empty()) refuse_empty(names, word);
                                 values.push_back(std::move(part));
                               }
                             });
  record.many = true;
}

void OptionSet::choice(const std::string& names, std::string& value,
                       const std::vector<std::string>& choices, const std::string& help) {
  word(names, value, choices, help, [&value](const std::string& word) { value = word; });
}

void OptionSet::word(const std::string& names, const std::string& shown,
                     const std::vector<std::string>& choices, const std::string& help,
                     std::function<void(const std::string& word)> store) {
  const std::string value_name =
      choices.empty() ? "TEXT" : fmt::format("{}", fmt::join(choices, "|"));
  OptionRecord& record = add(names, value_name, help, shown,
                             [names, choices, store = std::move(store)](const std::string& word) {
                               if (!choices.empty()) check_choice(names, choices, word);
                               try {
                                 store(word);
                               } catch (const InputError& error) {
                                 throw InputError(main_name(names), error.what());
                               }
                             });
  record.choices = choices;
}

void OptionSet::flag(const std::string& names, bool& value, const std::string& help) {
  add(names, "", help, "", [](const std::string&) {});
  records_.back().store = [&value](const std::vector<std::string>&) { value = true; };
}

bool OptionSet::has(const std::string& spelling) const {
  return std::any_of(records_.begin(), records_.end(), [&](const OptionRecord& record) {
    const std::vector<std::string> names = spellings(record);
    return std::find(names.begin(), names.end(), spelling) != names.end();
  });
}

void OptionSet::require_last() {
  records_.back().required = true;
}

std::string main_name(const std::string& names) {
  const std::size_t comma = names.rfind(',');
  return comma == std::string::npos ? names : names.substr(comma + 1);
}

void check_required(const OptionSet& options, const std::set<std::string>& given) {
  for (const OptionRecord& record : options.records()) {
    const std::string name = main_name(record.names);
    if (record.required && !given.contains(name)) throw InputError("", name + " is required");
  }
}

std::vector<std::string> spellings(const OptionRecord& record) {
  return split_commas(record.names);
}

}  // namespace moeshift::cli
