// SPDX-License-Identifier: Apache-2.0
// Who runs a command by a call instead of a command line: a module for Python, a test.
#pragma once

#include <string>

#include "moeshift/core/progress.hpp"
#include "moeshift/report/report.hpp"

namespace moeshift::cli {

/// Takes what a command would print, and has what it would read from files. Called on the thread
/// that runs the command, but for progress().
class Host {
 public:
  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host() = default;

  /// The answer; at most one per command.
  virtual void answer(const Report& report, const ResultMeta& meta) = 0;
  /// What a command writes to standard output besides (a placement, a trace).
  virtual void output(const std::string& text) = 0;
  virtual void say(const std::string& line) = 0;
  virtual void warn(const std::string& line) = 0;
  /// Interrupted once the caller wants the command to end.
  virtual Progress& progress() = 0;
  /// The text of the input called `name` where it lies in memory; null = a file.
  [[nodiscard]] virtual const std::string* input(const std::string& name) const = 0;
};

}  // namespace moeshift::cli
