// SPDX-License-Identifier: Apache-2.0
// An input stream that knows the hash of everything that passed through it.
#pragma once

#include <fstream>
#include <functional>
#include <istream>
#include <memory>
#include <streambuf>
#include <string>
#include <vector>

#include "moeshift/core/sha256.hpp"

namespace moeshift::cli {

/// Reads from another buffer in large blocks and hashes them.
class HashingBuffer final : public std::streambuf {
 public:
  explicit HashingBuffer(std::streambuf& source);
  /// Reads the rest and returns the hash of the whole.
  [[nodiscard]] std::string finish();

 protected:
  int_type underflow() override;

 private:
  std::streambuf& source_;
  Sha256 hash_;
  std::vector<char> block_;
};

/// A file or standard input; on destruction reports path and hash to `on_done`.
class HashedInput final : public std::istream {
 public:
  using OnDone = std::function<void(const std::string& hash)>;

  /// @param path "-" = standard input. @throws InputError when the file cannot be opened.
  HashedInput(const std::string& path, OnDone on_done);
  ~HashedInput() override;
  HashedInput(const HashedInput&) = delete;
  HashedInput& operator=(const HashedInput&) = delete;

 private:
  std::ifstream file_;
  std::unique_ptr<HashingBuffer> buffer_;
  OnDone on_done_;
};

}  // namespace moeshift::cli
