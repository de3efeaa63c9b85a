// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/program.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <set>
#include <span>
#include <system_error>

#include <fmt/format.h>
#include <sys/resource.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/core/shown_text.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/layer_text.hpp"
#include "moeshift/report/table.hpp"

#include "apps/moeshift/cli/atomic_file.hpp"
#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/cli/common_options.hpp"
#include "apps/moeshift/cli/complete.hpp"
#include "apps/moeshift/cli/help.hpp"
#include "apps/moeshift/cli/interrupt.hpp"
#include "apps/moeshift/cli/option_set.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/cli/settings.hpp"
#include "apps/moeshift/cli/spelled.hpp"
#include "apps/moeshift/cli/version.hpp"

namespace moeshift::cli {
namespace {

/// The command named by the first words, and how many words name it.
struct Chosen {
  const CommandEntry* entry = nullptr;
  std::size_t words = 0;
};

Chosen find_command(std::span<const std::string> words) {
  Chosen best;
  for (const CommandEntry& entry : commands()) {
    const auto count =
        static_cast<std::size_t>(std::count(entry.path.begin(), entry.path.end(), ' ')) + 1;
    if (words.size() < count || count <= best.words) continue;
    if (fmt::format("{}", fmt::join(words.first(count), " ")) == entry.path) best = {&entry, count};
  }
  return best;
}

[[noreturn]] void unknown_command(std::span<const std::string> words) {
  std::vector<std::string_view> heads;
  std::vector<std::string_view> subcommands;
  for (const CommandEntry& entry : commands()) {
    const std::size_t space = entry.path.find(' ');
    heads.push_back(entry.path.substr(0, space));
    if (heads.back() == words[0] && space != std::string_view::npos) {
      subcommands.push_back(entry.path.substr(space + 1));
    }
  }
  if (subcommands.empty()) {
    throw InputError(
        "", fmt::format("unknown command '{}'{}", words[0], did_you_mean(words[0], heads)));
  }
  if (words.size() < 2 || words[1].starts_with('-')) {
    throw InputError("",
                     fmt::format("'{}' needs one of: {}", words[0], fmt::join(subcommands, ", ")));
  }
  throw InputError("", fmt::format("unknown command '{} {}'{}", words[0], words[1],
                                   did_you_mean(words[1], subcommands)));
}

bool contains(std::span<const std::string> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// "used 0.20 s of processors, 15.4 MB of memory".
std::string resources_used() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return Seconds(static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6);
  };
  return fmt::format("used {} of processors, {} of memory",
                     human(seconds(usage.ru_utime) + seconds(usage.ru_stime)),
                     human(Bytes(std::int64_t{usage.ru_maxrss} * 1024)));
}

/// "help plan" as "plan --help".
std::vector<std::string> without_help_word(const std::vector<std::string>& argv) {
  if (argv.size() < 3 || argv[1] != "help") return argv;
  std::vector<std::string> words{argv[0]};
  words.insert(words.end(), argv.begin() + 2, argv.end());
  words.emplace_back("--help");
  return words;
}

/// The library names what is wrong, "ranks"; on the command line that is called --ranks.
ExitCode run_with_flags(Command& command, const OptionSet& options, Session& session) {
  try {
    return command.run(session);
  } catch (const InputError& error) {
    const std::string flag = "--" + error.where();
    if (!options.has(flag)) throw;
    throw InputError("", "--" + std::string(error.what()));
  }
}

/// The command line, then (`from_outside`) the environment, then the settings file.
Settings settings_of(const OptionSet& options, const CommandEntry& entry,
                     std::span<const std::string> words, bool from_outside) {
  Settings settings;
  for (auto& [name, given] : parse_options(options, {words.begin(), words.end()})) {
    settings[name] = {std::move(given), "command line"};
  }
  if (from_outside) add_settings(options, entry, settings);
  if (settings.contains("--show-config")) return settings;
  std::set<std::string> names;
  for (const auto& [name, setting] : settings) names.insert(name);
  check_required(options, names);
  return settings;
}

/// What did not stand on the command line stands in the result, which shows only that.
void tell_settings(const Settings& settings, Session& session) {
  std::string text;
  for (const auto& [name, setting] : settings) {
    if (setting.origin == "command line") continue;
    text += fmt::format("{}{} {} ({})", text.empty() ? "" : ", ", name,
                        fmt::join(setting.words, " "), setting.origin);
  }
  if (text.empty()) return;
  session.about("settings", text);
  session.detail("settings: " + text);
}

/// Errors that speak of layers get the model's numbers, once the command has learned them.
ExitCode run_naming_layers(Command& command, const OptionSet& options, Session& session) {
  try {
    return run_with_flags(command, options, session);
  } catch (const LayerInputError& error) {
    throw InputError("", error.text().with(session.layer_ids()));
  } catch (const LayerInfeasibleError& error) {
    throw InfeasibleError(error.text().with(session.layer_ids()));
  }
}

/// Files that options name and that are written, beside --output.
constexpr std::array kWritten = {"--timeline", "--matrix", "--write", "--cluster-file"};

/// The second of two written to one file would be the end of the first.
void refuse_one_file_twice(const Settings& settings, const std::string& output) {
  for (const char* option : kWritten) {
    const auto given = settings.find(option);
    if (given == settings.end() || given->second.words.empty()) continue;
    const std::string& path = given->second.words.front();
    if (path == "-" || output == "-" || !is_same_file(path, output)) continue;
    throw InputError(option, "expected a file of its own, found that of --output: " + path);
  }
}

/// A command with its options.
class Call {
 public:
  explicit Call(const Chosen& chosen) : chosen_(chosen), command_(chosen.entry->make()) {
    command_->declare(options_);
    declare_common(options_, common_);
  }

  /// @param host null = the terminal.
  ExitCode run(const std::vector<std::string>& argv, Host* host) {
    const std::span<const std::string> rest = std::span(argv).subspan(1 + chosen_.words);
    const bool full = contains(rest, "--help");
    if (host == nullptr && (full || contains(rest, "-h"))) {
      std::cout << command_help(*chosen_.entry, options_, full);
      return ExitCode::kGood;
    }
    // A call says all that it means: no environment and no file speaks for it.
    const Settings settings = settings_of(options_, *chosen_.entry, rest, host == nullptr);
    if (common_.show_config && host == nullptr) {
      std::cout << settings_text(options_, *chosen_.entry, settings);
      return ExitCode::kGood;
    }
    common_.format_given = settings.contains("--format");
    refuse_one_file_twice(settings, common_.output);
    Session session(argv, common_, host);
    tell_settings(settings, session);
    const ExitCode code = run_naming_layers(*command_, options_, session);
    session.tell_mentions();
    session.detail(resources_used());
    return code;
  }

 private:
  Chosen chosen_;
  std::unique_ptr<Command> command_;
  OptionSet options_;
  CommonOptions common_;
};

ExitCode run_command(const std::vector<std::string>& given) {
  const std::vector<std::string> argv = without_help_word(given);
  const std::span<const std::string> words = std::span(argv).subspan(1);
  if (words.empty() || words[0] == "-h" || words[0] == "--help" || words[0] == "help") {
    (words.empty() ? std::cerr : std::cout) << program_help();
    return words.empty() ? ExitCode::kBadInput : ExitCode::kGood;
  }
  if (words[0] == "__complete") {  // what the completions of the shells ask
    write_completions(std::cout, complete(words.subspan(1)));
    return ExitCode::kGood;
  }
  if (words[0] == "--version" || words[0] == "-V") {
    std::cout << fmt::format("moeshift {} ({})\n", kVersion, kGitRevision);
    return ExitCode::kGood;
  }
  const bool family_only = find_command(words.first(1)).entry == nullptr;
  if (family_only && words.size() == 2 && (words[1] == "--help" || words[1] == "-h")) {
    if (const std::string help = family_help(words[0]); !help.empty()) {
      std::cout << help;
      return ExitCode::kGood;
    }
  }
  const Chosen chosen = find_command(words);
  if (chosen.entry == nullptr) unknown_command(words);
  return Call(chosen).run(argv, nullptr);
}

int complain(const char* kind, const std::exception& error, ExitCode code) {
  std::cout.flush();
  std::fprintf(stderr, "moeshift: %s: %s\n", kind, shown(spelled(error.what())).c_str());
  return static_cast<int>(code);
}

}  // namespace

ExitCode run_for(Host& host, const std::vector<std::string>& argv) {
  const std::span<const std::string> words = std::span(argv).subspan(1);
  const Chosen chosen = find_command(words);
  if (chosen.entry == nullptr) unknown_command(words);
  return Call(chosen).run(argv, &host);
}

int run_program(const std::vector<std::string>& argv) {
  try {
    keep_talk_apart();
    watch_interrupt();
    const ExitCode code = run_command(argv);
    if (!std::cout.flush() && !nobody_reads_output()) {
      const DeviceError lost("standard output: cannot be written: it is full or closed");
      return complain("error", lost, ExitCode::kDevice);
    }
    return static_cast<int>(code);
  } catch (const InputError& error) {
    return complain("error", error, ExitCode::kBadInput);
  } catch (const InfeasibleError& error) {
    return complain("infeasible", error, ExitCode::kNegative);
  } catch (const DeviceError& error) {
    return complain("device error", error, ExitCode::kDevice);
  } catch (const InterruptedError& error) {
    return complain("stopped", error, ExitCode::kInterrupted);
  } catch (const std::bad_alloc&) {
    std::cout.flush();
    std::fprintf(stderr, "moeshift: out of memory: fewer steps, ranks or --threads need less\n");
    return static_cast<int>(ExitCode::kNegative);
  } catch (const std::filesystem::filesystem_error& error) {
    // A path that cannot be looked at: forbidden, too long, links in a circle.
    const InputError bad(error.path1().string(), error.code().message());
    return complain("error", bad, ExitCode::kBadInput);
  } catch (const std::system_error& error) {
    return complain("device error", error, ExitCode::kDevice);
  } catch (const std::exception& error) {
    return complain("unexpected", error, ExitCode::kDevice);
  }
}

}  // namespace moeshift::cli
