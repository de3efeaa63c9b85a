// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/hashed_input.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string_view>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift::cli {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20U;

}  // namespace

HashingBuffer::HashingBuffer(std::streambuf& source) : source_(source), block_(kBlock) {}

HashingBuffer::int_type HashingBuffer::underflow() {
  const std::streamsize read =
      source_.sgetn(block_.data(), static_cast<std::streamsize>(block_.size()));
  if (read <= 0) return traits_type::eof();
  const auto size = static_cast<std::size_t>(read);
  hash_.update(std::string_view(block_.data(), size));
  setg(block_.data(), block_.data(), block_.data() + size);
  return traits_type::to_int_type(block_.front());
}

std::string HashingBuffer::finish() {
  do {
    setg(nullptr, nullptr, nullptr);
  } while (underflow() != traits_type::eof());
  return hash_.hex();
}

HashedInput::HashedInput(const std::string& path, OnDone on_done)
    : std::istream(nullptr), on_done_(std::move(on_done)) {
  std::streambuf* source = std::cin.rdbuf();
  if (path != "-") {
    if (std::filesystem::is_directory(path)) throw InputError(path, "is a folder, expected a file");
    file_.open(path, std::ios::binary);
    if (!file_) throw InputError(path, std::string("cannot be read: ") + std::strerror(errno));
    source = file_.rdbuf();
  }
  buffer_ = std::make_unique<HashingBuffer>(*source);
  rdbuf(buffer_.get());
}

HashedInput::~HashedInput() {
  on_done_(buffer_->finish());
  rdbuf(nullptr);
}

}  // namespace moeshift::cli
