// SPDX-License-Identifier: Apache-2.0
// Files that may keep us waiting (pipes, fifos, terminals), where Ctrl-C ends the wait.
#pragma once

#include <array>
#include <cstddef>
#include <streambuf>
#include <string>

namespace moeshift::cli {

/// Returns once `file` is ready for the poll() events, or at its end.
/// @throws InterruptedError within a tenth of a second after SIGINT or SIGTERM.
void wait_until_ready(int file, short events);

/// A fifo that is open for writing; waits for whoever will read it. @return -1 and errno on
/// failure.
/// @throws InterruptedError
[[nodiscard]] int open_fifo_for_writing(const std::string& path);

/// A file or standard input, read as its bytes come.
class WaitingFile final : public std::streambuf {
 public:
  /// @param path "-" = standard input.
  /// @throws InputError when it cannot be opened.
  explicit WaitingFile(const std::string& path);
  ~WaitingFile() override;
  WaitingFile(const WaitingFile&) = delete;
  WaitingFile& operator=(const WaitingFile&) = delete;

 protected:
  /// Some of what was asked for; nothing only at the end. @throws InputError, InterruptedError
  std::streamsize xsgetn(char* to, std::streamsize count) override;
  int_type underflow() override;

 private:
  std::string path_;
  int file_ = 0;
  bool waits_ = false;  ///< no regular file
  std::array<char, 4096> small_{};
};

}  // namespace moeshift::cli
