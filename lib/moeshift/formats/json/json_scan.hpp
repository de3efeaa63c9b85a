// SPDX-License-Identifier: Apache-2.0
// Where the parts of a JSON text begin and end, without reading them. Internal to formats/.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace moeshift {

/// Where a JSON value ends; it may be fed piece by piece.
class ValueEnd {
 public:
  /// @return the length of the value that `text` begins with, or npos when it goes on.
  std::size_t find(std::string_view text);

 private:
  void step_in_string(char c);

  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

/// An object of which one member is an array, in pieces.
struct SplitObject {
  std::string_view array;                ///< with its brackets
  std::vector<std::string_view> items;   ///< of the array
  std::vector<std::string_view> others;  ///< members "key": value beside it
};

/// Splits the object `text` at its member `key`. Only brackets, quotes and commas are looked at:
/// every piece still has to be parsed.
/// @return nothing where brackets do not match, `key` is not there once, or is no array: a parser
///         of the whole says what is wrong then.
[[nodiscard]] std::optional<SplitObject> split_object(std::string_view text, std::string_view key);

}  // namespace moeshift
