// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/bytes/gzip_decoder.hpp"

#include <algorithm>
#include <istream>
#include <limits>
#include <utility>

#include <zlib.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 16U;
/// zlib: 15 bits of window, and a gzip header around the data.
constexpr int kGzipWindow = 15 + 16;

}  // namespace

struct GzipDecoder::State {
  z_stream stream{};
  bool inside_member = true;
  bool padded = false;  ///< zeros followed the last member
  std::uint64_t packed = 0;
  std::uint64_t unfolded = 0;
};

bool looks_like_gzip(std::string_view bytes) {
  return bytes.substr(0, 3) == "\x1f\x8b\x08";
}

GzipDecoder::GzipDecoder(std::istream& in, std::string start, std::string name)
    : in_(in), block_(std::move(start)), name_(std::move(name)), state_(std::make_unique<State>()) {
  state_->stream.next_in = reinterpret_cast<Bytef*>(block_.data());
  state_->stream.avail_in = static_cast<uInt>(block_.size());
  state_->packed = block_.size();
  MOESHIFT_CHECK(inflateInit2(&state_->stream, kGzipWindow) == Z_OK);
}

GzipDecoder::~GzipDecoder() {
  inflateEnd(&state_->stream);
}

bool GzipDecoder::refill() {
  block_.resize(kBlock);
  in_.read(block_.data(), static_cast<std::streamsize>(block_.size()));
  state_->stream.next_in = reinterpret_cast<Bytef*>(block_.data());
  state_->stream.avail_in = static_cast<uInt>(in_.gcount());
  state_->packed += state_->stream.avail_in;
  return state_->stream.avail_in > 0;
}

/// Tapes and blocks are filled up with zeros, which gzip passes over at the end.
/// @return whether there were some.
bool GzipDecoder::skip_padding() {
  z_stream& stream = state_->stream;
  const uInt before = stream.avail_in;
  while (stream.avail_in > 0 && *stream.next_in == 0) {
    ++stream.next_in;
    --stream.avail_in;
  }
  if (stream.avail_in == before) {
    if (!state_->padded) return false;
    throw InputError(name_, "not a valid gzip stream: something follows the zeros after its end");
  }
  state_->padded = true;
  return true;
}

void GzipDecoder::begin_member() {
  MOESHIFT_CHECK(inflateReset2(&state_->stream, kGzipWindow) == Z_OK);
  state_->inside_member = true;
}

std::size_t GzipDecoder::read(char* to, std::size_t count) {
  z_stream& stream = state_->stream;
  const auto room =
      static_cast<uInt>(std::min<std::size_t>(count, std::numeric_limits<uInt>::max()));
  stream.next_out = reinterpret_cast<Bytef*>(to);
  stream.avail_out = room;
  while (stream.avail_out == room) {
    if (stream.avail_in == 0 && !refill()) {
      if (state_->inside_member) throw InputError(name_, "the gzip stream is truncated");
      return 0;
    }
    if (!state_->inside_member) {
      if (skip_padding()) continue;
      begin_member();
    }
    const int code = inflate(&stream, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      const std::string reason = stream.msg == nullptr ? "damaged" : stream.msg;
      throw InputError(name_, "not a valid gzip stream: " + reason);
    }
    state_->inside_member = code != Z_STREAM_END;
  }
  state_->unfolded += room - stream.avail_out;
  check_growth(state_->packed, state_->unfolded, name_);
  return room - stream.avail_out;
}

}  // namespace moeshift
