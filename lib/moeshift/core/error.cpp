// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/error.hpp"

#include <cstdio>
#include <cstdlib>

namespace moeshift {

void check_failed(std::string_view condition, std::string_view file, int line) {
  std::fprintf(stderr, "moeshift: bug: %.*s does not hold (%.*s:%d)\n",
               static_cast<int>(condition.size()), condition.data(), static_cast<int>(file.size()),
               file.data(), line);
  std::abort();
}

}  // namespace moeshift
