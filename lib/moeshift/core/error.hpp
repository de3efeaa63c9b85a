// SPDX-License-Identifier: Apache-2.0
// An answer is a value, a bad input is an exception, a bug is an abort.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace moeshift {

/// Bad input: a file, an option, a combination of them. Exit code 2.
///
/// `where` names the place as `file:line` or `file#/json/pointer` (empty for an option);
/// `what()` is one line, "where: expectation".
class InputError : public std::runtime_error {
 public:
  InputError(std::string where, const std::string& expectation)
      : std::runtime_error(where.empty() ? expectation : where + ": " + expectation),
        where_(std::move(where)) {}

  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  std::string where_;
};

/// A request that is well formed but has no answer: more replicas than ranks, memory that cannot
/// hold the plan. A negative verdict, exit code 1.
class InfeasibleError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A device, a peer or the operating system failed us. Exit code 3.
class DeviceError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Prints the broken invariant and aborts; used by MOESHIFT_CHECK only.
[[noreturn]] void check_failed(std::string_view condition, std::string_view file, int line);

}  // namespace moeshift

/// A broken invariant is a bug of ours: print where and abort, in release builds too.
#define MOESHIFT_CHECK(condition) \
  ((condition) ? void(0) : ::moeshift::check_failed(#condition, __FILE__, __LINE__))
