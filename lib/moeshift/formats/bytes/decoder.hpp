// SPDX-License-Identifier: Apache-2.0
// What a compressed stream unfolds to, piece by piece. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

namespace moeshift {

class Decoder {
 public:
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual ~Decoder() = default;

  /// Up to `count` unfolded bytes; 0 at the end.
  /// @throws InputError when the stream is damaged, ends early, or unfolds to more than
  /// check_growth allows.
  virtual std::size_t read(char* to, std::size_t count) = 0;

 protected:
  Decoder() = default;
};

/// A recording shrinks to a tenth; what unfolds to more than 256 times its length, beyond the first
/// 256 MiB, was made to fill a memory.
/// @throws InputError
void check_growth(std::uint64_t packed, std::uint64_t unfolded, const std::string& where);

/// Whether `start` is that of a stream of zstd or gzip.
[[nodiscard]] bool is_packed(std::string_view start);

/// The decoder for a stream that begins with `start` (already taken from `in`), which tells zstd
/// and gzip by their magic numbers; null when it is neither.
[[nodiscard]] std::unique_ptr<Decoder> decoder_for(std::istream& in, std::string_view start,
                                                   const std::string& name);

}  // namespace moeshift
