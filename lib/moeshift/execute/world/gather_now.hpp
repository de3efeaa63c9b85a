// SPDX-License-Identifier: Apache-2.0
// What ranks tell each other while they join, before anything polls for them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"

namespace moeshift {

/// An all-gather, waited for.
/// @param stop the user wants to stop; may be empty.
/// @throws ShuffleFailure when a rank has failed, DeviceError at the deadline, InterruptedError.
[[nodiscard]] std::vector<std::string> gather_now(ControlPlane& control, const std::string& mine,
                                                  Deadline deadline,
                                                  const std::function<bool()>& stop);

}  // namespace moeshift
