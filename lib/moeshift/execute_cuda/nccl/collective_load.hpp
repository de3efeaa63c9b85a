// SPDX-License-Identifier: Apache-2.0
// A model's own all-to-all beside the shuffle, on a communicator of its own.
#pragma once

#include <memory>

#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute/foreground.hpp"
#include "moeshift/execute_cuda/kernels/platform.hpp"

namespace moeshift {

/// Collective.
/// @throws InputError when the platform has no NCCL, DeviceError when the peers do not come in
/// time.
[[nodiscard]] std::unique_ptr<Foreground> make_collective_foreground(const Platform& platform,
                                                                     ControlPlane& control,
                                                                     Deadline deadline);

}  // namespace moeshift
