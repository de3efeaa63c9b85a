// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/hashed_input.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"

#include "apps/moeshift/cli/waiting_file.hpp"

namespace moeshift::cli {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20U;

}  // namespace

HashingBuffer::HashingBuffer(std::streambuf& source, OnBlock on_block)
    : source_(source), on_block_(std::move(on_block)), block_(kBlock) {}

HashingBuffer::int_type HashingBuffer::underflow() {
  const std::streamsize read =
      source_.sgetn(block_.data(), static_cast<std::streamsize>(block_.size()));
  const auto size = static_cast<std::size_t>(std::max<std::streamsize>(read, 0));
  hash_.update(std::string_view(block_.data(), size));
  read_ += size;
  if (on_block_) on_block_(read_);
  if (size == 0) return traits_type::eof();
  setg(block_.data(), block_.data(), block_.data() + size);
  return traits_type::to_int_type(block_.front());
}

std::string HashingBuffer::finish() {
  do {
    setg(nullptr, nullptr, nullptr);
  } while (underflow() != traits_type::eof());
  return hash_.hex();
}

HashedInput::HashedInput(const std::string& path, OnRead on_read, OnDone on_done,
                         std::uint64_t most)
    : std::istream(nullptr),
      on_done_(std::move(on_done)),
      errors_before_(std::uncaught_exceptions()) {
  if (path != "-" && std::filesystem::is_directory(path)) {
    throw InputError(path, "is a folder, expected a file");
  }
  file_ = std::make_unique<WaitingFile>(path);
  buffer_ = std::make_unique<HashingBuffer>(
      *file_, [on_read = std::move(on_read), path, most,
               before = std::uint64_t{0}](std::uint64_t bytes) mutable {
        if (most > 0 && bytes > most) {
          throw InputError(path, fmt::format("is longer than --max-input allows ({} bytes)", most));
        }
        if (on_read) on_read(bytes - std::exchange(before, bytes));
      });
  rdbuf(buffer_.get());
  exceptions(std::ios::badbit);  // or it would swallow what the buffer throws
}

HashedInput::~HashedInput() {
  std::string hash;
  End how = End::kUnread;
  // After an error nobody asks for the hash, and the rest of a pipe may never end.
  if (std::uncaught_exceptions() == errors_before_) {
    try {
      hash = buffer_->finish();
      how = End::kRead;
    } catch (const InterruptedError&) {
      how = End::kInterrupted;
    } catch (const std::exception&) {  // the device failed at what nobody needed
      how = End::kUnread;
    }
  }
  on_done_(how, hash);
  exceptions(std::ios::goodbit);
  rdbuf(nullptr);
}

}  // namespace moeshift::cli
