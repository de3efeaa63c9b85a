// SPDX-License-Identifier: Apache-2.0
// The options of one command as data: parsed by CLI11, printed by help, walked by completions.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

/// One option or positional argument, as declared.
struct OptionRecord {
  std::string names;       ///< "-o,--output"; for positionals the name alone
  std::string value_name;  ///< "N", "FILE"; empty for flags
  std::string help;
  std::string default_text;  ///< empty = none worth showing
  std::vector<std::string> choices;
  bool positional = false;
  bool many = false;  ///< takes several values
  bool required = false;
  bool common = false;  ///< an option that every command has
  std::string section;  ///< empty: shown even by the short help
  /// Stores the words given; throws InputError when they are not what is expected.
  std::function<void(const std::vector<std::string>&)> store;
};

/// Collects what a command declares.
class OptionSet final : public Options {
 public:
  void positional(const std::string& name, std::string& value, const std::string& help,
                  bool required) override;
  void positionals(const std::string& name, std::vector<std::string>& values,
                   const std::string& help, bool required) override;
  void option(const std::string& names, std::string& value, const std::string& help) override;
  void option(const std::string& names, std::optional<std::string>& value,
              const std::string& help) override;
  void option(const std::string& names, std::size_t& value, const std::string& help) override;
  void option(const std::string& names, std::optional<std::size_t>& value,
              const std::string& help) override;
  void option(const std::string& names, double& value, const std::string& help) override;
  void option(const std::string& names, std::optional<double>& value,
              const std::string& help) override;
  void option(const std::string& names, std::optional<Bytes>& value,
              const std::string& help) override;
  void list(const std::string& names, std::vector<std::string>& values,
            const std::string& help) override;
  void choice(const std::string& names, std::string& value, const std::vector<std::string>& choices,
              const std::string& help) override;
  void word(const std::string& names, const std::string& shown,
            const std::vector<std::string>& choices, const std::string& help,
            std::function<void(const std::string& word)> store) override;
  void flag(const std::string& names, bool& value, const std::string& help) override;
  void section(const std::string& title) override { section_ = title; }
  void require_last() override;

  /// From here on, what is declared is common to all commands.
  void begin_common() {
    common_ = true;
    section_.clear();
  }
  [[nodiscard]] const std::vector<OptionRecord>& records() const { return records_; }
  /// Whether an option of this spelling has been declared.
  [[nodiscard]] bool has(const std::string& spelling) const;

 private:
  OptionRecord& add(const std::string& names, const std::string& value_name,
                    const std::string& help, std::string default_text,
                    std::function<void(const std::string&)> store_one);

  std::vector<OptionRecord> records_;
  bool common_ = false;
  std::string section_;
};

/// Parses `words` (what follows the command) into `options`.
/// @return the words given to every option that is there, by its main name.
/// @throws InputError for usage errors, naming the option and, if one is close, what was meant.
std::map<std::string, std::vector<std::string>> parse_options(
    const OptionSet& options, const std::vector<std::string>& words);

/// @throws InputError naming the first option or argument that must be given and is not.
void check_required(const OptionSet& options, const std::set<std::string>& given);

/// The longest spelling: what errors and help call an option; for positionals the name.
[[nodiscard]] std::string main_name(const std::string& names);

/// Every spelling of an option: "-o,--output" gives {"-o", "--output"}.
[[nodiscard]] std::vector<std::string> spellings(const OptionRecord& record);

}  // namespace moeshift::cli
