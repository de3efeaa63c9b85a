// SPDX-License-Identifier: Apache-2.0
// A GPU or a skip, and ranks as threads.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute_cuda/cuda_platform.hpp"

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

inline void finish(Pending& pending) {
  const Deadline deadline = Deadline::in(Seconds(20.0));
  while (!pending.poll()) {
    if (deadline.expired()) throw DeviceError("not finished within 20 s");
    std::this_thread::yield();
  }
}

/// Joins every local rank on a thread of its own and runs `body` there; rethrows the first error.
inline void for_each_rank(World& world, const std::function<void(RankId, Member&)>& body) {
  std::vector<std::exception_ptr> errors(world.size());
  {
    std::vector<std::jthread> threads;
    for (const RankId rank : world.local_ranks()) {
      threads.emplace_back([&, rank] {
        try {
          Member member = world.join(rank, Deadline::in(Seconds(20.0)));
          body(rank, member);
        } catch (...) {
          errors[rank.index()] = std::current_exception();
        }
      });
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace moeshift::test
