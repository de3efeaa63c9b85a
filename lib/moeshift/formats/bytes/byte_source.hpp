// SPDX-License-Identifier: Apache-2.0
// A stream that can be looked at before it is consumed, line by line or in blocks.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

#include "moeshift/formats/bytes/growing_bytes.hpp"

namespace moeshift {

class Decoder;

/// Reads a std::istream through one buffer that grows only with the longest line.
///
/// zstd and gzip streams are unfolded on the way, and UTF-8's byte order mark is left out. Every
/// view handed out is valid until the next call and is followed by kPadding readable bytes, which
/// is what SIMD parsers ask for.
class ByteSource {
 public:
  static constexpr std::size_t kPadding = 128;
  static constexpr std::size_t kLongestLine = std::size_t{1} << 28U;
  /// Of what rest() may return: simdjson takes no more either.
  static constexpr std::size_t kLongestRest = (std::size_t{1} << 32U) - 1;

  /// @param name what to call the stream in errors: a path, "<stdin>".
  /// @throws InputError where it is UTF-16 or UTF-32.
  ByteSource(std::istream& in, std::string name);
  /// The same, of a stream that lives as long as this.
  ByteSource(std::unique_ptr<std::istream> in, std::string name);
  /// Bytes in memory.
  [[nodiscard]] static std::unique_ptr<ByteSource> of_text(std::string text, std::string name);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// "name:line" of the line read last.
  [[nodiscard]] std::string where() const;

  /// The next bytes, at most `count`, fewer only at the end. Consumes nothing.
  [[nodiscard]] std::string_view peek(std::size_t count);
  /// The next line without its '\n'; false at the end.
  /// @throws InputError when a line is longer than kLongestLine or the stream breaks.
  bool line(std::string_view& text);
  /// The next line that is not blank.
  bool filled_line(std::string_view& text);
  /// Consumes `count` bytes that peek() has shown, and returns them.
  [[nodiscard]] std::string_view take(std::size_t count);
  /// Moves up to `count` bytes to `to`; fewer only at the end.
  std::size_t read(char* to, std::size_t count);
  /// Everything that is left.
  /// @throws InputError when that is more than kLongestRest.
  [[nodiscard]] std::string_view rest();

 private:
  [[nodiscard]] std::size_t available() const { return end_ - begin_; }
  void make_room();
  bool fill();

  std::unique_ptr<std::istream> owned_;
  std::istream& in_;
  std::unique_ptr<Decoder> decoder_;
  std::string name_;
  GrowingBytes buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t line_ = 0;
};

}  // namespace moeshift
