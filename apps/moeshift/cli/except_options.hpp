// SPDX-License-Identifier: Apache-2.0
// Declares all options of a group but some: what a command takes in lists, others take once.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

/// Passes declarations on to `options`, except those whose names are in `left_out`.
class ExceptOptions final : public Options {
 public:
  ExceptOptions(Options& options, std::set<std::string> left_out)
      : options_(options), left_out_(std::move(left_out)) {}

  void positional(const std::string& name, std::string& value, const std::string& help,
                  bool required) override {
    if (wanted(name)) options_.positional(name, value, help, required);
  }
  void positionals(const std::string& name, std::vector<std::string>& values,
                   const std::string& help, bool required) override {
    if (wanted(name)) options_.positionals(name, values, help, required);
  }
  void option(const std::string& names, std::string& value, const std::string& help) override {
    pass(names, value, help);
  }
  void option(const std::string& names, std::optional<std::string>& value,
              const std::string& help) override {
    pass(names, value, help);
  }
  void option(const std::string& names, std::size_t& value, const std::string& help) override {
    pass(names, value, help);
  }
  void option(const std::string& names, std::optional<std::size_t>& value,
              const std::string& help) override {
    pass(names, value, help);
  }
  void option(const std::string& names, double& value, const std::string& help) override {
    pass(names, value, help);
  }
  void option(const std::string& names, std::optional<double>& value,
              const std::string& help) override {
    pass(names, value, help);
  }
  void option(const std::string& names, std::optional<Bytes>& value,
              const std::string& help) override {
    pass(names, value, help);
  }
  void list(const std::string& names, std::vector<std::string>& values,
            const std::string& help) override {
    if (wanted(names)) options_.list(names, values, help);
  }
  void choice(const std::string& names, std::string& value, const std::vector<std::string>& choices,
              const std::string& help) override {
    if (wanted(names)) options_.choice(names, value, choices, help);
  }
  void word(const std::string& names, const std::string& shown,
            const std::vector<std::string>& choices, const std::string& help,
            std::function<void(const std::string& word)> store) override {
    if (wanted(names)) options_.word(names, shown, choices, help, std::move(store));
  }
  void flag(const std::string& names, bool& value, const std::string& help) override {
    if (wanted(names)) options_.flag(names, value, help);
  }
  void section(const std::string& title) override { options_.section(title); }
  void require_last() override {
    if (last_wanted_) options_.require_last();
  }

 private:
  bool wanted(const std::string& names) {
    last_wanted_ = !left_out_.contains(names);
    return last_wanted_;
  }
  template <class T>
  void pass(const std::string& names, T& value, const std::string& help) {
    if (wanted(names)) options_.option(names, value, help);
  }

  Options& options_;
  std::set<std::string> left_out_;
  bool last_wanted_ = true;
};

}  // namespace moeshift::cli
