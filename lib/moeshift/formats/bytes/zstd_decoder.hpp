// SPDX-License-Identifier: Apache-2.0
// Decompresses a stream of zstd frames piece by piece. Internal to formats/.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "moeshift/formats/bytes/decoder.hpp"

namespace moeshift {

[[nodiscard]] bool looks_like_zstd(std::string_view bytes);

class ZstdDecoder final : public Decoder {
 public:
  /// @param start bytes that were taken from `in` already.
  /// @param name what errors call the stream.
  ZstdDecoder(std::istream& in, std::string start, std::string name);
  ~ZstdDecoder() override;

  std::size_t read(char* to, std::size_t count) override;

 private:
  struct State;
  bool refill();

  std::istream& in_;
  std::string block_;
  std::string name_;
  std::unique_ptr<State> state_;
};

}  // namespace moeshift
