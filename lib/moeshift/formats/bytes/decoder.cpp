// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/bytes/decoder.hpp"

#include <system_error>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/bytes/ahead_decoder.hpp"
#include "moeshift/formats/bytes/gzip_decoder.hpp"
#include "moeshift/formats/bytes/zstd_decoder.hpp"

namespace moeshift {
namespace {

constexpr std::uint64_t kFreely = std::uint64_t{1} << 28U;
constexpr std::uint64_t kMostGrowth = 256;
/// Packed bytes that are read at first: files that are shorter are not worth a thread.
constexpr std::size_t kLong = std::size_t{1} << 17U;

}  // namespace

void check_growth(std::uint64_t packed, std::uint64_t unfolded, const std::string& where) {
  if (unfolded <= kFreely || unfolded / kMostGrowth <= packed) return;
  throw InputError(where, fmt::format("unfolds to more than {} times its length; expected a "
                                      "recording (unpack it first if it is one)",
                                      kMostGrowth));
}

bool is_packed(std::string_view start) {
  return looks_like_zstd(start) || looks_like_gzip(start);
}

std::unique_ptr<Decoder> decoder_for(std::istream& in, std::string_view start,
                                     const std::string& name) {
  const MakeDecoder make = [&](std::istream& packed) -> std::unique_ptr<Decoder> {
    if (looks_like_zstd(start)) {
      return std::make_unique<ZstdDecoder>(packed, std::string(start), name);
    }
    return std::make_unique<GzipDecoder>(packed, std::string(start), name);
  };
  if (!is_packed(start)) return nullptr;
  if (start.size() < kLong) return make(in);
  try {
    return std::make_unique<AheadDecoder>(in, make);
  } catch (const std::system_error&) {  // no more threads: slower, and the same
    return make(in);
  }
}

}  // namespace moeshift
