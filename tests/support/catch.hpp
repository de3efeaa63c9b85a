// SPDX-License-Identifier: Apache-2.0
// Catch2 2 and 3 alike, and a skip that both understand.
#pragma once

#if MOESHIFT_CATCH2_MAJOR >= 3
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace moeshift::test {

/// What tells ctest of a skipped test; Catch2 3's own tests of the build say so as well.
#if MOESHIFT_CATCH2_MAJOR >= 3
inline constexpr int kSkipped = 4;
#else
inline constexpr int kSkipped = 77;
#endif

/// Ends this test (ctest runs each in a process of its own) as skipped, saying why.
[[noreturn]] inline void skip(const std::string& reason) {
  std::printf("SKIPPED: %s\n", reason.c_str());
  std::fflush(stdout);
  std::_Exit(kSkipped);
}

/// Matches a text that has `part` in it: Catch2 2 and 3 name it differently.
inline auto containing(const std::string& part) {
#if MOESHIFT_CATCH2_MAJOR >= 3
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

/// Where the source tree lies.
[[nodiscard]] const char* source_directory();

/// A file of the source tree.
inline std::filesystem::path source_path(const std::string& relative) {
  return std::filesystem::path(source_directory()) / relative;
}

/// A file of the shared material beside the checkout (real recordings, golden vectors); skips the
/// test when it is not there.
inline std::filesystem::path shared_path(const std::string& relative) {
  const std::filesystem::path path = source_path("../shared") / relative;
  if (!std::filesystem::exists(path)) skip("shared/" + relative + " is not beside the checkout");
  return path;
}

}  // namespace moeshift::test
