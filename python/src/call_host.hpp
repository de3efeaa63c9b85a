// SPDX-License-Identifier: Apache-2.0
// Takes what the program's commands would print, for a caller in Python.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/pybind11.h>

#include "apps/moeshift/cli/host.hpp"
#include "released.hpp"

namespace moeshift::python {

/// Everything a command says, kept until Python's lock is held again.
class CallHost final : public cli::Host {
 public:
  /// @param inputs texts of inputs that are no files, by the names that commands know them by.
  explicit CallHost(std::map<std::string, std::string> inputs = {}) : inputs_(std::move(inputs)) {}

  void answer(const Report& report, const ResultMeta& meta) override {
    answer_ = envelope(report, meta);
  }
  void output(const std::string& text) override { output_ += text; }
  void say(const std::string& line) override { lines_.emplace_back("note", line); }
  void warn(const std::string& line) override { lines_.emplace_back("warning", line); }
  StoppableProgress& progress() override { return progress_; }
  [[nodiscard]] const std::string* input(const std::string& name) const override {
    const auto found = inputs_.find(name);
    return found == inputs_.end() ? nullptr : &found->second;
  }

  /// null without an answer.
  [[nodiscard]] const nlohmann::ordered_json& answered() const { return answer_; }
  [[nodiscard]] const std::string& written() const { return output_; }
  /// Hands what was said to moeshift._talk, which warns of it.
  void talk();

 private:
  std::map<std::string, std::string> inputs_;
  nlohmann::ordered_json answer_;
  std::string output_;
  std::vector<std::pair<std::string, std::string>> lines_;
  StoppableProgress progress_;
};

/// Keyword arguments as an option's words: ("price", ["seconds:1000"]).
using Words = std::vector<std::pair<std::string, std::vector<std::string>>>;

}  // namespace moeshift::python
