// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/bytes/byte_source.hpp"

#include <algorithm>
#include <cstring>
#include <istream>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/byte_order_mark.hpp"
#include "moeshift/core/error.hpp"
#include "moeshift/formats/bytes/decoder.hpp"

namespace moeshift {
namespace {
constexpr std::size_t kBlock = std::size_t{1} << 18U;
}

ByteSource::ByteSource(std::istream& in, std::string name)
    : in_(in), name_(std::move(name)), buffer_(kBlock + kPadding) {
  static_cast<void>(peek(4));
  decoder_ = decoder_for(in_, peek(available()), name_);
  if (decoder_) begin_ = end_;
  if (decoder_ && is_packed(peek(4))) {
    throw InputError(name_,
                     "is packed twice (what it unfolds to is gzip or zstd again): unpack it "
                     "once, by `zstd -d` or `gunzip`");
  }
  static_cast<void>(take(byte_order_mark(peek(8), name_)));
}

ByteSource::ByteSource(std::unique_ptr<std::istream> in, std::string name)
    : ByteSource(*in, std::move(name)) {
  owned_ = std::move(in);
}

std::unique_ptr<ByteSource> ByteSource::of_text(std::string text, std::string name) {
  return std::make_unique<ByteSource>(std::make_unique<std::istringstream>(std::move(text)),
                                      std::move(name));
}

ByteSource::~ByteSource() = default;

std::string ByteSource::where() const {
  return fmt::format("{}:{}", name_, std::max<std::size_t>(line_, 1));
}

void ByteSource::make_room() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, available());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ + kPadding == buffer_.size()) buffer_.grow(2 * end_ + kPadding);
}

bool ByteSource::fill() {
  make_room();
  const std::size_t room = buffer_.size() - kPadding - end_;
  if (decoder_) {
    const std::size_t decoded = decoder_->read(buffer_.data() + end_, room);
    end_ += decoded;
    return decoded > 0;
  }
  in_.read(buffer_.data() + end_, static_cast<std::streamsize>(room));
  if (in_.bad()) throw InputError(name_, "reading failed");
  const auto got = static_cast<std::size_t>(in_.gcount());
  end_ += got;
  return got > 0;
}

std::string_view ByteSource::peek(std::size_t count) {
  while (available() < count && fill()) {
  }
  return {buffer_.data() + begin_, std::min(count, available())};
}

std::string_view ByteSource::take(std::size_t count) {
  MOESHIFT_CHECK(count <= available());
  const std::string_view taken{buffer_.data() + begin_, count};
  begin_ += count;
  return taken;
}

bool ByteSource::line(std::string_view& text) {
  std::size_t searched = 0;
  const void* newline = nullptr;
  while (newline == nullptr) {
    newline = std::memchr(buffer_.data() + begin_ + searched, '\n', available() - searched);
    if (newline != nullptr) break;
    searched = available();
    if (searched > kLongestLine) {
      throw InputError(fmt::format("{}:{}", name_, line_ + 1), "expected lines below 256 MiB");
    }
    if (!fill()) break;
  }
  if (newline == nullptr && available() == 0) return false;
  const char* start = buffer_.data() + begin_;
  const std::size_t length =
      newline == nullptr ? available()
                         : static_cast<std::size_t>(static_cast<const char*>(newline) - start);
  text = {start, length};
  begin_ += length + (newline == nullptr ? 0 : 1);
  ++line_;
  return true;
}

bool ByteSource::filled_line(std::string_view& text) {
  while (line(text)) {
    if (text.find_first_not_of(" \t\r") != std::string_view::npos) return true;
  }
  return false;
}

std::size_t ByteSource::read(char* to, std::size_t count) {
  std::size_t done = 0;
  while (done < count && (available() > 0 || fill())) {
    const std::size_t part = std::min(count - done, available());
    std::memcpy(to + done, buffer_.data() + begin_, part);
    begin_ += part;
    done += part;
  }
  return done;
}

std::string_view ByteSource::rest() {
  while (fill()) {
    if (available() > kLongestRest) throw InputError(name_, "expected a document below 4 GiB");
  }
  const std::string_view all{buffer_.data() + begin_, available()};
  begin_ = end_;
  return all;
}

}  // namespace moeshift
