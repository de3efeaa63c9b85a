// SPDX-License-Identifier: Apache-2.0
// Ctrl-C as a flag: the first asks, the second ends the program at once. Readers that go away, and
// were never there.
#pragma once

namespace moeshift::cli {

/// From now on SIGINT and SIGTERM set the flag instead of killing; a second one kills.
void watch_interrupt();
/// True once the user asked to stop.
[[nodiscard]] bool interrupt_requested();
/// For ranks that move weights: from now on, writing to somebody who went away is an error of that
/// write and no longer the end of the process. A launcher may close the streams of all ranks as
/// soon as one has died, and the survivors must still finish, tell and exit with their own code.
void outlive_closed_pipes();
/// Where standard input, output or error is closed, its number is taken from now on, by something
/// that cannot be written: the next file to be opened would else have it, and our talk.
void keep_talk_apart();
/// True if standard output leads to nobody any more.
[[nodiscard]] bool nobody_reads_output();

}  // namespace moeshift::cli
