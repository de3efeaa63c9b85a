// SPDX-License-Identifier: Apache-2.0
// What was taken from a file instead of the command line: said in one line, never silent.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {

class Taken {
 public:
  /// Gives `value` what a file says, and notes it.
  template <class T>
  void fill(T& value, const char* name, const T& said) {
    value = said;
    parts_.push_back(fmt::format("{} {}", name, said));
  }
  /// The same, where the command line says nothing and the file something.
  template <class T>
  void fill(std::optional<T>& value, const char* name, const std::optional<T>& said) {
    if (value || !said) return;
    value = said;
    parts_.push_back(fmt::format("{} {}", name, *said));
  }

  /// "moeshift: ranks 4, slots 20 as <who>".
  void say(Session& session, const std::string& who) const {
    if (!parts_.empty())
      session.mention(fmt::format("moeshift: {} as {}", fmt::join(parts_, ", "), who));
  }

 private:
  std::vector<std::string> parts_;
};

}  // namespace moeshift::cli
