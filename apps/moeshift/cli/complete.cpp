// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/complete.hpp"

#include <algorithm>
#include <ostream>
#include <set>

#include <fmt/format.h>

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/cli/generate.hpp"
#include "apps/moeshift/cli/option_set.hpp"

namespace moeshift::cli {
namespace {

void keep(Completions& into, const std::string& begun, std::vector<Candidate> values,
          const std::string& before = "") {
  for (Candidate& value : values) {
    value.word = before + value.word;
    if (value.word.starts_with(begun)) into.candidates.push_back(std::move(value));
  }
}

/// The first word of all commands, or the second of those that begin with `family`.
std::vector<Candidate> command_words(const std::string& family) {
  std::vector<Candidate> words;
  std::set<std::string> seen;
  for (const CommandEntry& entry : commands()) {
    const std::size_t space = entry.path.find(' ');
    const std::string head(entry.path.substr(0, space));
    const bool nested = space != std::string_view::npos;
    if (!family.empty()) {
      if (head == family && nested) {
        words.push_back({std::string(entry.path.substr(space + 1)), std::string(entry.summary)});
      }
      continue;
    }
    if (!seen.insert(head).second) continue;
    const bool many = std::ranges::any_of(commands(), [&](const CommandEntry& other) {
      return nested && other.path.starts_with(head + " ") && other.path != entry.path;
    });
    words.push_back({head, many ? "info, convert and more" : std::string(entry.summary)});
  }
  return words;
}

/// The command that the words name, and how many of them do.
std::pair<const CommandEntry*, std::size_t> command_of(std::span<const std::string> words) {
  std::pair<const CommandEntry*, std::size_t> best{nullptr, 0};
  for (const CommandEntry& entry : commands()) {
    const auto count =
        static_cast<std::size_t>(std::ranges::count(entry.path, ' ')) + std::size_t{1};
    if (words.size() < count || count <= best.second) continue;
    if (fmt::format("{}", fmt::join(words.first(count), " ")) == entry.path) best = {&entry, count};
  }
  return best;
}

const OptionRecord* option_called(const OptionSet& options, const std::string& spelling) {
  for (const OptionRecord& record : options.records()) {
    const std::vector<std::string> names = spellings(record);
    if (!record.positional && std::ranges::find(names, spelling) != names.end()) return &record;
  }
  return nullptr;
}

/// The values of one option or argument; of a list, those after its last comma.
void add_values(const OptionRecord& record, const std::string& begun, const std::string& before,
                Completions& into) {
  const std::string name = main_name(record.names);
  const ValueKind kind = value_name_of(name).kind;
  const std::size_t comma =
      record.many && !record.positional ? begun.rfind(',') : std::string::npos;
  const std::string said = before + (comma == std::string::npos ? "" : begun.substr(0, comma + 1));
  std::vector<Candidate> values;
  for (const std::string& choice : record.choices) {
    values.push_back({choice, description_of(name, choice)});
  }
  if (values.empty()) values = values_of(kind);
  keep(into, before + begun, std::move(values), said);
  const bool configuration =
      kind == ValueKind::kCluster || kind == ValueKind::kModel || kind == ValueKind::kServing;
  into.files = kind == ValueKind::kFile || (configuration && into.candidates.empty());
}

void add_options(const OptionSet& options, const std::set<std::string>& given,
                 const std::string& begun, Completions& into) {
  std::vector<Candidate> names;
  for (const OptionRecord& record : options.records()) {
    if (record.positional) continue;
    const std::string name = main_name(record.names);
    if (!given.contains(name) || record.many) names.push_back({name, record.help});
  }
  names.push_back({"--help", "all options and an example"});
  keep(into, begun, std::move(names));
}

/// The argument that would come next; the last one, where it takes many.
const OptionRecord* argument_at(const OptionSet& options, std::size_t place) {
  const OptionRecord* last = nullptr;
  for (const OptionRecord& record : options.records()) {
    if (!record.positional) continue;
    if (place == 0 || record.many) return &record;
    --place;
    last = &record;
  }
  return last != nullptr && last->many ? last : nullptr;
}

/// bash gives "--option=value" as three words: they become one again.
std::vector<std::string> joined(std::span<const std::string> words) {
  std::vector<std::string> whole;
  bool glue = false;
  for (const std::string& word : words) {
    const bool equals = word == "=" && !whole.empty() && whole.back().starts_with("--");
    if (equals || glue) {
      whole.back() += word;
    } else {
      whole.push_back(word);
    }
    glue = equals;
  }
  return whole;
}

}  // namespace

Completions complete(std::span<const std::string> given_words) {
  Completions answer;
  if (given_words.empty()) return answer;
  const bool split = given_words.size() > 1 &&
                     (given_words.back() == "=" || given_words[given_words.size() - 2] == "=");
  const std::vector<std::string> all = joined(given_words);
  const std::span<const std::string> words = std::span(all).first(all.size() - 1);
  const std::string& begun = all.back();
  const auto [entry, count] = command_of(words);
  if (entry == nullptr) {
    if (words.size() <= 1) keep(answer, begun, command_words(words.empty() ? "" : words.front()));
    if (words.empty()) {
      keep(answer, begun, {{"--help", "all commands"}, {"--version", "version and git revision"}});
    }
    return answer;
  }
  const std::unique_ptr<Command> command = entry->make();
  const OptionSet options = options_of(*command);
  std::set<std::string> given;
  std::size_t arguments = 0;
  const OptionRecord* waiting = nullptr;  // an option whose value comes next
  for (const std::string& word : words.subspan(count)) {
    if (waiting != nullptr) {
      waiting = nullptr;
      continue;
    }
    const OptionRecord* record = option_called(options, word.substr(0, word.find('=')));
    if (record == nullptr) {
      if (!word.starts_with('-') || word == "-") ++arguments;
      continue;
    }
    given.insert(main_name(record->names));
    const bool whole = word.find('=') != std::string::npos;
    if (!record->value_name.empty() && !whole) waiting = record;
  }
  if (waiting != nullptr) {
    add_values(*waiting, begun, "", answer);
    return answer;
  }
  const std::size_t equals = begun.find('=');
  if (begun.starts_with("--") && equals != std::string::npos) {
    const OptionRecord* record = option_called(options, begun.substr(0, equals));
    if (record == nullptr) return answer;
    // A shell that splits at '=' replaces only what stands behind it.
    add_values(*record, begun.substr(equals + 1), split ? "" : begun.substr(0, equals + 1), answer);
    return answer;
  }
  if (begun.starts_with('-')) {
    add_options(options, given, begun, answer);
    return answer;
  }
  if (words.size() == 1 && words.size() == count) {  // "models" is a command, and so is its family
    keep(answer, begun, command_words(words.front()));
  }
  const OptionRecord* argument = argument_at(options, arguments);
  if (argument != nullptr) {
    Completions values;
    add_values(*argument, begun, "", values);
    answer.files = values.files;
    std::ranges::move(values.candidates, std::back_inserter(answer.candidates));
  }
  return answer;
}

void write_completions(std::ostream& out, const Completions& completions) {
  for (const Candidate& candidate : completions.candidates) {
    out << candidate.word;
    if (!candidate.description.empty()) {
      constexpr std::size_t kWidest = 72;
      std::string text = candidate.description.substr(0, kWidest);
      if (text.size() < candidate.description.size()) {
        text.erase(std::min(text.rfind(' '), text.size()));
        text += " ...";
      }
      std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\t'; }, ' ');
      out << '\t' << text;
    }
    out << '\n';
  }
  if (completions.files) out << ":files\n";
}

}  // namespace moeshift::cli
