// SPDX-License-Identifier: Apache-2.0
// The items of one long array inside a JSON object, without reading the whole. Internal to
// formats/.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "moeshift/formats/bytes/byte_source.hpp"
#include "moeshift/formats/json/json_document.hpp"

namespace moeshift {

/// Finds where each item begins and ends; what is in it is for a parser to say. Values of other
/// keys are skipped. Memory: the longest item, at most ByteSource::kLongestLine.
class JsonItems {
 public:
  using OnMember = std::function<void(std::string_view key, std::string_view value)>;

  /// Reads up to the '[' of `key`. @throws InputError unless `bytes` hold an object with that
  /// array.
  /// @param on_member is told of every other member, key and value as they stand in the text.
  JsonItems(ByteSource& bytes, std::string key, OnMember on_member = {});

  /// The next item, valid until the next call and followed by ByteSource::kPadding bytes; false at
  /// the end, when the rest of the object has been looked at as well.
  /// @throws InputError when the array or the object is cut off.
  bool next(std::string_view& item);
  /// The item read last.
  [[nodiscard]] JsonPlace place() const;

 private:
  void skip_space();
  void read_member(const std::string& key);
  [[nodiscard]] char look();
  void expect(char wanted);
  std::string_view value();
  std::string read_key();
  void skip_to_array();
  void skip_rest();
  [[noreturn]] void fail(const std::string& expectation) const;

  ByteSource& bytes_;
  std::string key_;
  OnMember on_member_;
  std::size_t items_ = 0;
  bool in_array_ = false;
  bool ended_ = false;
};

}  // namespace moeshift
