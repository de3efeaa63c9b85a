// SPDX-License-Identifier: Apache-2.0
// Who did what when in an execution: one picture of all ranks.
#pragma once

#include "moeshift/model/timeline.hpp"

#include "apps/moeshift/execute/execution.hpp"

namespace moeshift::cli {

/// The spans of all ranks, called by what they are ("stage", "commit") with layer, bytes and peers
/// as arguments; an arrow for everything that one rank sends another in a layer; bytes per second
/// of every class of link, as if a layer's bytes flowed evenly while their receiver stages it.
[[nodiscard]] Timeline joint_timeline(const Execution& execution);

}  // namespace moeshift::cli
