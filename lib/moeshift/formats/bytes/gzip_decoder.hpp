// SPDX-License-Identifier: Apache-2.0
// Unfolds a stream of gzip members piece by piece. Internal to formats/.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "moeshift/formats/bytes/decoder.hpp"

namespace moeshift {

[[nodiscard]] bool looks_like_gzip(std::string_view bytes);

/// Several members one after another are one stream, as for gunzip.
class GzipDecoder final : public Decoder {
 public:
  /// @param start bytes that were taken from `in` already.
  /// @param name what errors call the stream.
  GzipDecoder(std::istream& in, std::string start, std::string name);
  ~GzipDecoder() override;

  std::size_t read(char* to, std::size_t count) override;

 private:
  struct State;
  bool refill();
  bool skip_padding();
  void begin_member();

  std::istream& in_;
  std::string block_;
  std::string name_;
  std::unique_ptr<State> state_;
};

}  // namespace moeshift
