// SPDX-License-Identifier: Apache-2.0
// Ctrl-C as a flag: the first asks, the second ends the program at once.
#pragma once

namespace moeshift::cli {

/// From now on SIGINT and SIGTERM set the flag instead of killing; a second one kills.
void watch_interrupt();
/// True once the user asked to stop.
[[nodiscard]] bool interrupt_requested();

}  // namespace moeshift::cli
