// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/bytes/decoder.hpp"

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/bytes/gzip_decoder.hpp"
#include "moeshift/formats/bytes/zstd_decoder.hpp"

namespace moeshift {
namespace {

constexpr std::uint64_t kFreely = std::uint64_t{1} << 28U;
constexpr std::uint64_t kMostGrowth = 256;

}  // namespace

void check_growth(std::uint64_t packed, std::uint64_t unfolded, const std::string& where) {
  if (unfolded <= kFreely || unfolded / kMostGrowth <= packed) return;
  throw InputError(where, fmt::format("unfolds to more than {} times its length; expected a "
                                      "recording (unpack it first if it is one)",
                                      kMostGrowth));
}

std::unique_ptr<Decoder> decoder_for(std::istream& in, std::string_view start,
                                     const std::string& name) {
  if (looks_like_zstd(start)) return std::make_unique<ZstdDecoder>(in, std::string(start), name);
  if (looks_like_gzip(start)) return std::make_unique<GzipDecoder>(in, std::string(start), name);
  return nullptr;
}

}  // namespace moeshift
