// SPDX-License-Identifier: Apache-2.0
// Options set by name, without a command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"

#include "apps/moeshift/cli/option_set.hpp"
#include "call_host.hpp"

namespace moeshift::python {

/// Collects what is declared; then each keyword argument is stored as its option would be.
class OptionsByName {
 public:
  cli::OptionSet& set() { return set_; }

  /// @throws InputError for a name that is none, with the closest that is.
  void store(const Words& words) const {
    for (const auto& [name, values] : words) find("--" + name).store(values);
  }

 private:
  [[nodiscard]] const cli::OptionRecord& find(const std::string& flag) const {
    std::vector<std::string> names;
    for (const cli::OptionRecord& record : set_.records()) {
      if (record.names == flag) return record;
      names.push_back(record.names);
    }
    const std::vector<std::string_view> known(names.begin(), names.end());
    throw InputError("", "unknown argument " + flag + did_you_mean(flag, known));
  }

  cli::OptionSet set_;
};

}  // namespace moeshift::python
