// SPDX-License-Identifier: Apache-2.0
// A model's own all-to-all beside the shuffle, on a communicator of its own.
#pragma once

#include <memory>

#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute/foreground.hpp"

namespace moeshift {

/// Collective. One definition is linked: nccl_load.cpp or, in a build without NCCL, no_load.cpp.
/// @throws InputError when there is no NCCL, DeviceError when the peers do not come in time.
[[nodiscard]] std::unique_ptr<Foreground> make_collective_foreground(ControlPlane& control,
                                                                     Deadline deadline);

}  // namespace moeshift
