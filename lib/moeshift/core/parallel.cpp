// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/parallel.hpp"

#include <algorithm>

#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace moeshift {

void parallel_for(std::size_t count, Threads threads,
                  const std::function<void(std::size_t)>& body) {
  if (threads.count == 1 || count <= 1) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  // More threads than processors win nothing, and oneTBB warns about them on standard error.
  const auto processors = static_cast<std::size_t>(tbb::info::default_concurrency());
  const std::size_t width =
      threads.count == 0 ? processors : std::min<std::size_t>(threads.count, processors);
  tbb::task_arena arena(static_cast<int>(width));
  arena.execute([&] { tbb::parallel_for(std::size_t{0}, count, body, tbb::simple_partitioner{}); });
}

}  // namespace moeshift
