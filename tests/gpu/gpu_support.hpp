// SPDX-License-Identifier: Apache-2.0
// A GPU or a skip, and ranks as threads.
#pragma once

#include <string>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute_cuda/cuda_platform.hpp"

#include "tests/support/all_to_all.hpp"
#include "tests/support/catch.hpp"

namespace moeshift::test {

inline void require_gpu() {
  const std::string reason = cuda_platform().runtime->unavailable_reason();
  if (!reason.empty()) skip(reason);
}

inline WorldRequest ranks(std::size_t count) {
  WorldRequest options;
  options.ranks = count;
  return options;
}

}  // namespace moeshift::test
