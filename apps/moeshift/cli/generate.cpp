// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/generate.hpp"

#include <map>
#include <ostream>
#include <set>
#include <string>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "apps/moeshift/cli/common_options.hpp"
#include "apps/moeshift/cli/version.hpp"

namespace moeshift::cli {
namespace {

/// Command path -> every option spelling, in the order of the help.
std::map<std::string, std::vector<std::string>> option_names() {
  std::map<std::string, std::vector<std::string>> names;
  for (const CommandEntry& entry : commands()) {
    const std::unique_ptr<Command> command = entry.make();
    std::vector<std::string>& known = names[std::string(entry.path)];
    const OptionSet options = options_of(*command);
    for (const OptionRecord& record : options.records()) {
      if (record.positional) continue;
      for (std::string& name : spellings(record)) known.push_back(std::move(name));
    }
    known.insert(known.end(), {"-h", "--help"});
  }
  return names;
}

/// First words of all commands, each once; and the second words of those that have them.
std::map<std::string, std::set<std::string>> words_of_commands() {
  std::map<std::string, std::set<std::string>> words;
  for (const CommandEntry& entry : commands()) {
    const std::size_t space = entry.path.find(' ');
    std::set<std::string>& second = words[std::string(entry.path.substr(0, space))];
    if (space != std::string_view::npos) second.emplace(entry.path.substr(space + 1));
  }
  return words;
}

std::string man_escaped(std::string text) {
  for (std::size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\\-");
  }
  return text;
}

void write_man_command(std::ostream& out, const CommandEntry& entry) {
  const std::unique_ptr<Command> command = entry.make();
  fmt::print(out, ".SS {}\n{}\n", entry.path, man_escaped(std::string(entry.summary)));
  const OptionSet options = options_of(*command);
  for (const OptionRecord& record : options.records()) {
    if (record.common) continue;
    fmt::print(out, ".TP\n.B {}\n{}\n", man_escaped(record.names), man_escaped(record.help));
  }
  fmt::print(out, ".PP\nExample:\n.RS\n{}\n.RE\n", man_escaped(std::string(entry.example)));
}

}  // namespace

OptionSet options_of(Command& command) {
  OptionSet options;
  // The records keep references to this value; they are only read here, never stored to.
  static CommonOptions common;
  command.declare(options);
  declare_common(options, common);
  return options;
}

void write_bash_completion(std::ostream& out) {
  fmt::print(out, "# bash completion for moeshift\n_moeshift() {{\n");
  fmt::print(out, "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" options=\"\"\n");
  fmt::print(out,
             "  local one=\"${{COMP_WORDS[1]}}\" two=\"${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}\"\n");
  std::vector<std::string> first;
  for (const auto& [word, second] : words_of_commands()) first.push_back(word);
  fmt::print(out, "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    options=\"{} --help --version\"\n",
             fmt::join(first, " "));
  for (const auto& [word, second] : words_of_commands()) {
    if (second.empty()) continue;
    fmt::print(out, "  elif [ \"$COMP_CWORD\" -eq 2 ] && [ \"$one\" = \"{}\" ]; then\n", word);
    fmt::print(out, "    options=\"{}\"\n", fmt::join(second, " "));
  }
  fmt::print(out, "  else\n    case \"$two\" in\n");
  // The longer paths first, so that "trace info" is not taken for "trace".
  const auto names = option_names();
  for (const bool nested : {true, false}) {
    for (const auto& [path, options] : names) {
      if ((path.find(' ') != std::string::npos) != nested) continue;
      fmt::print(out, "      \"{}\"*) options=\"{}\" ;;\n", path, fmt::join(options, " "));
    }
  }
  fmt::print(out, "    esac\n  fi\n  [[ $word == -* || $COMP_CWORD -le 2 ]] || options=\"\"\n");
  fmt::print(out, "  COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n");
  fmt::print(out, "  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n}}\n");
  fmt::print(out, "complete -F _moeshift moeshift\n");
}

void write_zsh_completion(std::ostream& out) {
  fmt::print(out, "#compdef moeshift\nautoload -U +X bashcompinit && bashcompinit\n");
  write_bash_completion(out);
}

void write_fish_completion(std::ostream& out) {
  fmt::print(out, "# fish completion for moeshift\n");
  for (const auto& [word, second] : words_of_commands()) {
    fmt::print(out, "complete -c moeshift -n __fish_use_subcommand -a {}\n", word);
    for (const std::string& next : second) {
      fmt::print(out, "complete -c moeshift -n '__fish_seen_subcommand_from {}' -a {}\n", word,
                 next);
    }
  }
  for (const auto& [path, options] : option_names()) {
    const std::string last =
        path.substr(path.find(' ') == std::string::npos ? 0 : path.find(' ') + 1);
    for (const std::string& option : options) {
      const bool is_long = option.starts_with("--");
      fmt::print(out, "complete -c moeshift -n '__fish_seen_subcommand_from {}' -{} {}\n", last,
                 is_long ? 'l' : 's', option.substr(is_long ? 2 : 1));
    }
  }
}

void write_man_page(std::ostream& out) {
  fmt::print(out, ".TH MOESHIFT 1 \"\" \"moeshift {}\"\n.SH NAME\n", kVersion);
  fmt::print(out, "moeshift \\- plan, price, simulate and perform the placement of MoE experts\n");
  fmt::print(out, ".SH SYNOPSIS\n.B moeshift\n.I COMMAND\n[options]\n.SH COMMANDS\n");
  for (const CommandEntry& entry : commands()) write_man_command(out, entry);
  fmt::print(out, ".SH COMMON OPTIONS\n");
  OptionSet options;
  CommonOptions common;
  declare_common(options, common);
  for (const OptionRecord& record : options.records()) {
    fmt::print(out, ".TP\n.B {}\n{}\n", man_escaped(record.names), man_escaped(record.help));
  }
  fmt::print(out,
             ".SH EXIT STATUS\n0 good; 1 a negative verdict; 2 bad input or usage; "
             "3 device or peer failure; 130 interrupted.\n");
}

}  // namespace moeshift::cli
