// SPDX-License-Identifier: Apache-2.0
// Decompresses a stream of zstd frames piece by piece. Internal to formats/.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

namespace moeshift {

[[nodiscard]] bool looks_like_zstd(std::string_view bytes);

class ZstdDecoder {
 public:
  /// @param start bytes that were taken from `in` already.
  /// @param name what errors call the stream.
  ZstdDecoder(std::istream& in, std::string start, std::string name);
  ~ZstdDecoder();
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  /// Up to `count` decompressed bytes; 0 at the end.
  /// @throws InputError when the frames are damaged or end early.
  std::size_t read(char* to, std::size_t count);

 private:
  struct State;
  bool refill();

  std::istream& in_;
  std::string block_;
  std::string name_;
  std::unique_ptr<State> state_;
};

}  // namespace moeshift
