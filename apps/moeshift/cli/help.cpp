// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/help.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace moeshift::cli {
namespace {

constexpr std::size_t kWidth = 80;
constexpr std::size_t kHelpColumn = 30;

/// `text` broken at spaces into lines that start at `indent`; the first line is already there.
std::string hanging(const std::string& text, std::size_t indent) {
  std::string lines;
  std::size_t column = indent;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > indent && column + 1 + word.size() > kWidth) {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += word.size();
    at = end + 1;
  }
  return lines;
}

/// "a|b|c" that would not fit beside its option.
bool has_long_choice(const OptionRecord& record) {
  return record.names.size() + record.value_name.size() > kWidth - 5;
}

std::string left_side(const OptionRecord& record) {
  if (record.positional) return record.names + (record.many ? "..." : "");
  std::string names = record.names;
  if (const std::size_t comma = names.find(','); comma != std::string::npos) {
    names.insert(comma + 1, " ");
  }
  if (record.value_name.empty()) return names;
  return names + " " + (has_long_choice(record) ? "NAME" : record.value_name);
}

/// As much of a help as one line holds: up to where a clause ends, if there is one.
std::string first_clause(const std::string& help, std::size_t width) {
  if (help.size() <= width) return help;
  for (std::size_t at = width; at > width / 3; --at) {
    const bool clause = help[at] == ';' || (help[at] == ' ' && help[at + 1] == '(') ||
                        (help[at] == ':' && !help.substr(0, at).ends_with("default"));
    if (clause) return help.substr(0, at);
  }
  const std::size_t space = help.rfind(' ', width - 4);
  return help.substr(0, space) + " ...";
}

/// The option in one line; --help has all of it.
std::string short_line(const OptionRecord& record) {
  std::string left = left_side(record);
  if (left.size() + 4 > kHelpColumn) left = left.substr(0, left.find(' ')) + " NAME";
  std::string line = "  " + left;
  line += std::string(line.size() + 2 > kHelpColumn ? 2 : kHelpColumn - line.size(), ' ');
  return line + first_clause(record.help, kWidth - std::min(line.size(), kWidth - 20)) + "\n";
}

std::string option_line(const OptionRecord& record) {
  std::string help = record.help;
  if (has_long_choice(record)) {
    help += ": ";
    for (const char c : record.value_name) help += c == '|' ? ", " : std::string(1, c);
  }
  if (!record.default_text.empty() && !record.required)
    help += fmt::format(" [{}]", record.default_text);
  if (record.required && !record.positional) help += " (required)";
  std::string line = "  " + left_side(record);
  if (line.size() + 2 > kHelpColumn) {
    line += "\n" + std::string(kHelpColumn, ' ');
  } else {
    line += std::string(kHelpColumn - line.size(), ' ');
  }
  return line + hanging(help, kHelpColumn) + "\n";
}

std::string usage_line(const CommandEntry& entry, const OptionSet& options) {
  std::string line = fmt::format("usage: moeshift {}", entry.path);
  for (const OptionRecord& record : options.records()) {
    if (!record.positional) continue;
    const std::string name = record.names + (record.many ? "..." : "");
    line += record.required ? " " + name : " [" + name + "]";
  }
  return line + " [options]\n";
}

std::string section(const std::string& title, const OptionSet& options, bool full, auto belongs) {
  std::string lines;
  for (const OptionRecord& record : options.records()) {
    if (belongs(record)) lines += full ? option_line(record) : short_line(record);
  }
  return lines.empty() ? "" : "\n" + title + ":\n" + lines;
}

/// The titles of a command's sections, in order.
std::vector<std::string> titles_of(const OptionSet& options) {
  std::vector<std::string> titles;
  for (const OptionRecord& record : options.records()) {
    if (record.section.empty()) continue;
    if (titles.empty() || titles.back() != record.section) titles.push_back(record.section);
  }
  return titles;
}

/// A section as its title and the names of what it holds.
std::string named_only(const std::string& title, const OptionSet& options) {
  std::string names;
  for (const OptionRecord& record : options.records()) {
    if (record.section == title) names += (names.empty() ? "" : " ") + record.names;
  }
  constexpr std::size_t kIndent = 12;
  const std::string start = title + ":";
  const std::size_t gap = start.size() < kIndent ? kIndent - start.size() : 1;
  return start + std::string(gap, ' ') + hanging(names, kIndent) + "\n";
}

/// An example as a shell takes it, broken before options where a line would be too long.
std::string shell_lines(std::string_view example) {
  constexpr std::string_view kBreak = " \\\n      ";
  std::string lines = "  ";
  std::size_t start = 0;  // of the last line
  while (!example.empty()) {
    const std::size_t end = std::min(example.find(" -", 1), example.size());
    const std::string_view part = example.substr(0, end);
    if (lines.size() - start + part.size() + 2 > kWidth) {
      lines += kBreak;
      start = lines.size() - (kBreak.size() - 3);
      lines += part.substr(1);
    } else {
      lines += part;
    }
    example.remove_prefix(end);
  }
  return lines + "\n";
}

std::string command_line(const CommandEntry& entry) {
  return fmt::format("  {:<16} {}\n", entry.path, hanging(std::string(entry.summary), 19));
}

}  // namespace

std::string program_help() {
  std::string help =
      "moeshift plans where the experts of a Mixture-of-Experts model live, prices and\n"
      "simulates the rearrangement, and performs it.\n\n"
      "usage: moeshift COMMAND [options]      moeshift COMMAND --help\n\ncommands:\n";
  for (const CommandEntry& entry : commands()) help += command_line(entry);
  help +=
      "\n  -V, --version    version and git revision\n"
      "\nexit codes: 0 good, 1 negative verdict (infeasible, regression, verification\n"
      "failed), 2 bad input or usage, 3 device or peer failure, 130 interrupted\n";
  return help;
}

std::string family_help(const std::string& family) {
  std::string lines;
  for (const CommandEntry& entry : commands()) {
    if (entry.path.starts_with(family + " ")) lines += command_line(entry);
  }
  if (lines.empty()) return "";
  return fmt::format("usage: moeshift {0} COMMAND [options]      moeshift {0} COMMAND --help\n\n",
                     family) +
         "commands:\n" + lines;
}

std::string command_help(const CommandEntry& entry, const OptionSet& options, bool full) {
  std::string help =
      usage_line(entry, options) + "\n" + hanging(std::string(entry.summary), 0) + "\n";
  help += section("arguments", options, full, [](const auto& r) { return r.positional; });
  help += section("options", options, full,
                  [](const auto& r) { return !r.positional && !r.common && r.section.empty(); });
  if (!full) help += "\n";
  for (const std::string& title : titles_of(options)) {
    help += full ? section(title, options, true, [&](const auto& r) { return r.section == title; })
                 : named_only(title, options);
  }
  if (!full) return help + "\n--help shows all options and an example.\n";
  help += section("common options", options, true, [](const auto& r) { return r.common; });
  return help + "\nexample:\n" + shell_lines(entry.example);
}

}  // namespace moeshift::cli
