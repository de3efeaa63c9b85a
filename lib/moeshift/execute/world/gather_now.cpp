// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/gather_now.hpp"

#include <chrono>
#include <thread>

#include "moeshift/core/interrupted.hpp"

namespace moeshift {

std::vector<std::string> gather_now(ControlPlane& control, const std::string& mine,
                                    Deadline deadline, const std::function<bool()>& stop) {
  const auto gathering = control.all_gather(mine);
  while (!gathering->poll()) {
    if (const auto failure = control.failure()) throw ShuffleFailure(*failure);
    if (stop && stop()) {
      Failure mine_alone{.rank = control.self(), .reason = "interrupted"};
      mine_alone.interrupted = true;
      control.fail(mine_alone);
      throw InterruptedError();
    }
    if (deadline.expired()) {
      const std::vector<RankId> missing = gathering->waiting_for();
      throw ShuffleFailure({.rank = missing.empty() ? control.self() : missing.front(),
                            .reason = "it did not join in time"});
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return gathering->values();
}

}  // namespace moeshift
