// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/bytes/zstd_decoder.hpp"

#include <istream>
#include <utility>

#include <zstd.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

struct FreeStream {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

}  // namespace

struct ZstdDecoder::State {
  std::unique_ptr<ZSTD_DStream, FreeStream> stream{ZSTD_createDStream()};
  ZSTD_inBuffer input{};
  bool inside_frame = true;
  std::uint64_t packed = 0;
  std::uint64_t unfolded = 0;
};

bool looks_like_zstd(std::string_view bytes) {
  return bytes.substr(0, 4) == "\x28\xb5\x2f\xfd";
}

ZstdDecoder::ZstdDecoder(std::istream& in, std::string start, std::string name)
    : in_(in), block_(std::move(start)), name_(std::move(name)), state_(std::make_unique<State>()) {
  state_->input = {block_.data(), block_.size(), 0};
  state_->packed = block_.size();
}

ZstdDecoder::~ZstdDecoder() = default;

bool ZstdDecoder::refill() {
  block_.resize(ZSTD_DStreamInSize());
  in_.read(block_.data(), static_cast<std::streamsize>(block_.size()));
  state_->input = {block_.data(), static_cast<std::size_t>(in_.gcount()), 0};
  state_->packed += state_->input.size;
  return state_->input.size > 0;
}

std::size_t ZstdDecoder::read(char* to, std::size_t count) {
  ZSTD_outBuffer output{to, count, 0};
  while (output.pos == 0) {
    const bool drained = state_->input.pos == state_->input.size;
    if (drained && !refill()) {
      if (state_->inside_frame) throw InputError(name_, "the zstd stream is truncated");
      return 0;
    }
    const std::size_t left = ZSTD_decompressStream(state_->stream.get(), &output, &state_->input);
    if (ZSTD_isError(left) != 0) {
      throw InputError(name_, std::string("not a valid zstd stream: ") + ZSTD_getErrorName(left));
    }
    state_->inside_frame = left != 0;
  }
  state_->unfolded += output.pos;
  check_growth(state_->packed, state_->unfolded, name_);
  return output.pos;
}

}  // namespace moeshift
