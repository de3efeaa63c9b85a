// SPDX-License-Identifier: Apache-2.0
// Independent items on several threads (oneTBB); results never depend on how many.
#pragma once

#include <cstddef>
#include <functional>

namespace moeshift {

/// How many threads a call may use; 0 = as many as the machine has.
struct Threads {
  std::size_t count = 0;
};

/// Calls body(i) for i in [0, count), each exactly once, on at most `threads` threads.
/// The first exception is rethrown here. Bodies must not share mutable state.
void parallel_for(std::size_t count, Threads threads, const std::function<void(std::size_t)>& body);

}  // namespace moeshift
