// SPDX-License-Identifier: Apache-2.0
// Open files handed from process to process, so that nobody opens a path that a peer has named.
#pragma once

#include <functional>

#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute/file_descriptor.hpp"

namespace moeshift {

/// Every rank hands its file to every other; all are processes (or threads) of one machine and
/// call it together. They meet at a Unix socket of a random name, which the control plane tells
/// them together with a token.
/// @param take called once for each other rank with its file.
/// @throws DeviceError, InterruptedError.
void exchange_files(ControlPlane& control, int mine, Deadline deadline,
                    const std::function<bool()>& stop,
                    const std::function<void(RankId, FileDescriptor)>& take);

}  // namespace moeshift
