// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/generate.hpp"

#include <ostream>
#include <string>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "apps/moeshift/cli/common_options.hpp"
#include "apps/moeshift/cli/version.hpp"

namespace moeshift::cli {
namespace {

std::string man_escaped(std::string text) {
  for (std::size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\\-");
  }
  return text;
}

/// ".B \-\-policy \fIPOLICY\fR", what it does, its choices and its default.
void write_man_option(std::ostream& out, const OptionRecord& record) {
  std::string names = man_escaped(record.names);
  if (const std::size_t comma = names.find(','); comma != std::string::npos) {
    names.replace(comma, 1, "\\fR, \\fB");
  }
  const std::string value =
      !record.choices.empty() && !record.positional ? "NAME" : record.value_name;
  fmt::print(out, ".TP\n\\fB{}\\fR", names);
  if (!record.positional && !value.empty()) fmt::print(out, " \\fI{}\\fR", man_escaped(value));
  fmt::print(out, "\n{}", man_escaped(record.help));
  if (!record.choices.empty()) {
    fmt::print(out, "; one of {}", man_escaped(fmt::format("{}", fmt::join(record.choices, ", "))));
  }
  if (!record.default_text.empty() && !record.required) {
    fmt::print(out, "; default: {}", man_escaped(record.default_text));
  }
  fmt::print(out, "{}.\n", record.required ? "; must be given" : "");
}

void write_man_command(std::ostream& out, const CommandEntry& entry) {
  const std::unique_ptr<Command> command = entry.make();
  const OptionSet options = options_of(*command);
  std::string arguments;
  for (const OptionRecord& record : options.records()) {
    if (!record.positional) continue;
    const std::string name = record.names + (record.many ? "..." : "");
    arguments += record.required ? " " + name : " [" + name + "]";
  }
  fmt::print(out, ".SS moeshift {}{} [options]\n{}.\n", entry.path, arguments,
             man_escaped(std::string(entry.summary)));
  for (const OptionRecord& record : options.records()) {
    if (!record.common) write_man_option(out, record);
  }
  fmt::print(out, ".PP\nExample:\n.PP\n.RS\n{}\n.RE\n", man_escaped(std::string(entry.example)));
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

// The shells ask the program itself what may stand next, so that they know what it knows.
void write_bash_completion(std::ostream& out) {
  out << R"script(# bash completion for moeshift
_moeshift() {
  local current="${COMP_WORDS[COMP_CWORD]}" line word files=""
  local -a words=() shown=()
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = ":files" ]; then files=1; continue; fi
    word="${line%%$'\t'*}"
    words+=("$word")
    if [ "$line" = "$word" ]; then shown+=("$word"); else shown+=("$word  (${line#*$'\t'})"); fi
  done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  # Descriptions where bash lists what there is; never where it would type them.
  if [ "${COMP_TYPE:-9}" = 63 ] && [ "${#words[@]}" -gt 1 ]; then
    COMPREPLY=("${shown[@]}")
  else
    COMPREPLY=("${words[@]}")
  fi
  case "${words[0]-}" in *:) type compopt &>/dev/null && compopt -o nospace 2>/dev/null ;; esac
  if [ -n "$files" ]; then
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
    type compopt &>/dev/null && compopt -o filenames 2>/dev/null
  fi
  return 0
}
complete -F _moeshift moeshift
)script";
}

void write_zsh_completion(std::ostream& out) {
  out << R"script(#compdef moeshift
_moeshift() {
  local line files="" word
  local -a described
  while IFS= read -r line; do
    if [[ $line == ":files" ]]; then files=1; continue; fi
    word=${line%%$'\t'*}
    if [[ $line == $word ]]; then
      described+=("${word//:/\\:}")
    else
      described+=("${word//:/\\:}:${line#*$'\t'}")
    fi
  done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( ${#described} )) && _describe -V moeshift described
  [[ -n $files ]] && _files
  return 0
}
if [[ ${funcstack[1]-} == _moeshift ]]; then _moeshift "$@"; else compdef _moeshift moeshift; fi
)script";
}

void write_fish_completion(std::ostream& out) {
  out << R"script(# fish completion for moeshift
function __moeshift_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l files
    for line in ($words[1] __complete $words[2..-1] 2>/dev/null)
        if test "$line" = ":files"
            set files 1
        else
            echo $line
        end
    end
    test -n "$files"; and __fish_complete_path (commandline -ct)
end
complete -c moeshift -f -a '(__moeshift_complete)'
)script";
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
  for (const OptionRecord& record : options.records()) write_man_option(out, record);
  out << R"(.SH FILES
.TP
\fBmoeshift.toml\fR
options as \fIkey\fR = \fIvalue\fR: at the top for every command that has such an option, below
[plan] or [trace.info] for one. Read from the current folder, or from what \fB\-\-config\fR names.
.SH ENVIRONMENT
.TP
\fBMOESHIFT_\fIOPTION\fR
the value of an option: MOESHIFT_CLUSTER, MOESHIFT_TOKENS_PER_STEP. The command line goes before the
environment, the environment before the file; \fB\-\-show\-config\fR tells what would be used.
.TP
\fBNO_COLOR\fR, \fBCLICOLOR_FORCE\fR
no colour, or colour without a terminal.
)";
  fmt::print(out,
             ".SH EXIT STATUS\n0 good; 1 a negative verdict; 2 bad input or usage; "
             "3 device or peer failure; 130 interrupted.\n");
}

}  // namespace moeshift::cli
