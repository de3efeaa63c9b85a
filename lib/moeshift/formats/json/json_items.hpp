// SPDX-License-Identifier: Apache-2.0
// The items of one long array inside a JSON object, without reading the whole. Internal to
// formats/.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "moeshift/formats/bytes/byte_source.hpp"
#include "moeshift/formats/json/json_document.hpp"

namespace moeshift {

/// Finds where each item begins and ends; what is in it is for a parser to say. Values of other
/// keys are skipped. Memory: the longest item, at most ByteSource::kLongestLine.
class JsonItems {
 public:
  /// Reads up to the '[' of `key`. @throws InputError unless `bytes` hold an object with that
  /// array.
  JsonItems(ByteSource& bytes, std::string key);

  /// The next item, valid until the next call and followed by ByteSource::kPadding bytes; false at
  /// the end, when the rest of the object has been looked at as well.
  /// @throws InputError when the array or the object is cut off.
  bool next(std::string_view& item);
  /// The item read last.
  [[nodiscard]] JsonPlace place() const;

 private:
  void skip_space();
  [[nodiscard]] char look();
  void expect(char wanted);
  std::string_view value();
  std::string read_key();
  void skip_to_array();
  void skip_rest();
  [[noreturn]] void fail(const std::string& expectation) const;

  ByteSource& bytes_;
  std::string key_;
  std::size_t items_ = 0;
  bool in_array_ = false;
  bool ended_ = false;
};

}  // namespace moeshift
