// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/world/gather.hpp"

#include <thread>

#include <fmt/format.h>

namespace moeshift {

std::vector<std::string> gather(ControlPlane& control, std::string_view mine, Deadline deadline) {
  const std::unique_ptr<Gathering> gathering = control.all_gather(mine);
  while (!gathering->poll()) {
    if (const auto failure = control.failure()) throw ShuffleFailure(*failure);
    if (deadline.expired()) {
      throw DeviceError(
          fmt::format("a rank has not spoken within {:.1f} s", deadline.allowance().count()));
    }
    std::this_thread::yield();
  }
  return gathering->values();
}

}  // namespace moeshift
