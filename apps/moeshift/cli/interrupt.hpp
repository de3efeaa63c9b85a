// SPDX-License-Identifier: Apache-2.0
// Ctrl-C as a flag: the first asks and gives a moment to end in order, the second ends the program
// at once. Readers that go away, and were never there.
#pragma once

#include <cstddef>
#include <string>

namespace moeshift::cli {

/// From now on SIGINT and SIGTERM set the flag instead of killing; a second one kills. Who has not
/// ended 0.6 s after the first, wherever it is, is ended without an answer (exit 130): not every
/// loop over what users may ask for can look at the flag often enough.
void watch_interrupt();
/// For ranks that move weights, which after the flag still settle what went live, and check it:
/// they have all the time that their deadlines give them.
void take_time_to_end();
/// True once the user asked to stop.
[[nodiscard]] bool interrupt_requested();
/// A file that nobody shall find when the program is ended without an answer: taken away then, for
/// as long as this lives. Names beyond a length, and more than a few files at once, are left
/// behind.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const std::string& path);
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;
  ~UnfinishedFile();

 private:
  std::size_t place_;
};

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
