// SPDX-License-Identifier: Apache-2.0
// An input stream that knows the hash of everything that passed through it.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <streambuf>
#include <string>
#include <vector>

#include "moeshift/core/sha256.hpp"

namespace moeshift::cli {

class WaitingFile;

/// Reads from another buffer in large blocks and hashes them.
class HashingBuffer final : public std::streambuf {
 public:
  /// Told after every block how many bytes have been read; what it throws leaves the stream.
  using OnBlock = std::function<void(std::uint64_t bytes)>;

  explicit HashingBuffer(std::streambuf& source, OnBlock on_block = {});
  /// Reads the rest and returns the hash of the whole.
  [[nodiscard]] std::string finish();

 protected:
  int_type underflow() override;

 private:
  std::streambuf& source_;
  OnBlock on_block_;
  std::uint64_t read_ = 0;
  Sha256 hash_;
  std::vector<char> block_;
};

/// A file or standard input; on destruction reads what is left and reports the hash of all of it to
/// `on_done`. Ctrl-C ends reading (InterruptedError) and that rest: the end is kInterrupted then. A
/// reader that was left by an exception, or a device that fails in that rest, leaves no hash.
class HashedInput final : public std::istream {
 public:
  enum class End { kRead, kUnread, kInterrupted };
  using OnDone = std::function<void(End end, const std::string& hash)>;
  using OnRead = std::function<void(std::uint64_t bytes)>;

  /// @param path "-" = standard input.
  /// @param on_read told how many bytes each block had; what it throws leaves the stream.
  /// @param most bytes that may be read; 0 = any number.
  /// @throws InputError when the file cannot be opened, and on reading when it is longer than that.
  HashedInput(const std::string& path, OnRead on_read, OnDone on_done, std::uint64_t most = 0);
  ~HashedInput() override;
  HashedInput(const HashedInput&) = delete;
  HashedInput& operator=(const HashedInput&) = delete;

 private:
  std::unique_ptr<WaitingFile> file_;
  std::unique_ptr<HashingBuffer> buffer_;
  OnDone on_done_;
  int errors_before_;
};

}  // namespace moeshift::cli
