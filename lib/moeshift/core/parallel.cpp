// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/parallel.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace moeshift {

void parallel_for(std::size_t count, Threads threads,
                  const std::function<void(std::size_t)>& body) {
  if (threads.count == 1 || count <= 1) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  const int width =
      threads.count == 0 ? tbb::task_arena::automatic : static_cast<int>(threads.count);
  tbb::task_arena arena(width);
  arena.execute([&] { tbb::parallel_for(std::size_t{0}, count, body, tbb::simple_partitioner{}); });
}

}  // namespace moeshift
