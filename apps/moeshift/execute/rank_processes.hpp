// SPDX-License-Identifier: Apache-2.0
// Runs the command again, a process per rank, for backends whose ranks do not live in one.
#pragma once

#include "moeshift/execute/backend.hpp"

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

/// Starts the ranks, with what the backend wants around them, and waits for all.
/// @return what they have come to together.
/// @throws DeviceError when a process cannot be started.
[[nodiscard]] ExitCode run_rank_processes(Session& session, const Backend& backend,
                                          const WorldRequest& world);

}  // namespace moeshift::cli
