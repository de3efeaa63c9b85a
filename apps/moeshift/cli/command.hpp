// SPDX-License-Identifier: Apache-2.0
// What a command sees of the command line. CLI11 itself stays in parse_options.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/units.hpp"

namespace moeshift::cli {

class Session;

/// Exit codes of the program (design: a negative answer is visible in the exit code).
enum class ExitCode : int {
  kGood = 0,      ///< done
  kNegative = 1,  ///< infeasible, regression, gate missed, verification failed
  kBadInput = 2,  ///< bad input or usage
  kDevice = 3,    ///< a device or a peer failed
  kInterrupted = 130,
};

/// Declares the options of one command. Values keep their defaults when not given; the default is
/// shown in the help. Numbers are checked strictly: no sign on unsigned, no fraction on whole.
class Options {
 public:
  virtual ~Options() = default;

  virtual void positional(const std::string& name, std::string& value, const std::string& help,
                          bool required = true) = 0;
  virtual void positionals(const std::string& name, std::vector<std::string>& values,
                           const std::string& help, bool required = true) = 0;
  /// `names` as "--ranks" or "-o,--output".
  virtual void option(const std::string& names, std::string& value, const std::string& help) = 0;
  virtual void option(const std::string& names, std::optional<std::string>& value,
                      const std::string& help) = 0;
  virtual void option(const std::string& names, std::size_t& value, const std::string& help) = 0;
  virtual void option(const std::string& names, std::optional<std::size_t>& value,
                      const std::string& help) = 0;
  virtual void option(const std::string& names, double& value, const std::string& help) = 0;
  virtual void option(const std::string& names, std::optional<double>& value,
                      const std::string& help) = 0;
  /// "512", "44MB", "1.5GiB".
  virtual void option(const std::string& names, std::optional<Bytes>& value,
                      const std::string& help) = 0;
  /// Comma-separated, or given several times.
  virtual void list(const std::string& names, std::vector<std::string>& values,
                    const std::string& help) = 0;
  /// One of `choices`; anything else is a usage error with the nearest choice.
  virtual void choice(const std::string& names, std::string& value,
                      const std::vector<std::string>& choices, const std::string& help) = 0;
  /// A word that `store` turns into a value, or refuses with an InputError.
  /// @param shown the default, for the help
  /// @param choices the words there are, if they can be listed
  virtual void word(const std::string& names, const std::string& shown,
                    const std::vector<std::string>& choices, const std::string& help,
                    std::function<void(const std::string& word)> store) = 0;
  virtual void flag(const std::string& names, bool& value, const std::string& help) = 0;
  /// From here on options belong to a section of their own, which the short help only names.
  virtual void section(const std::string& title) = 0;
  /// Marks the option declared last as one that must be given.
  virtual void require_last() = 0;
};

/// One command: declares its options, then runs.
class Command {
 public:
  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  virtual void declare(Options& options) = 0;
  /// @throws InputError, InfeasibleError, DeviceError; mapped to exit codes in one place.
  virtual ExitCode run(Session& session) = 0;
};

/// A row of the command table.
struct CommandEntry {
  std::string_view path;     ///< "plan", "trace info"
  std::string_view summary;  ///< one line
  std::string_view example;  ///< shown by --help
  std::unique_ptr<Command> (*make)();
};

/// All commands in the order of the help; commands/registry.cpp.
[[nodiscard]] std::span<const CommandEntry> commands();

}  // namespace moeshift::cli
