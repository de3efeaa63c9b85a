// SPDX-License-Identifier: Apache-2.0
// An all-gather that is waited for, while a world is set up or taken down.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "moeshift/execute/control_plane.hpp"

namespace moeshift {

/// What every rank said, by rank.
/// @throws ShuffleFailure when a peer failed, DeviceError at the deadline.
[[nodiscard]] std::vector<std::string> gather(ControlPlane& control, std::string_view mine,
                                              Deadline deadline);

}  // namespace moeshift
