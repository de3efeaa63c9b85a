// SPDX-License-Identifier: Apache-2.0
// The one gate for JSON: refuses what nlohmann/json lets pass (-1 as unsigned, 1.9 as int,
// duplicate keys, non-finite numbers) and names the place of every fault.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace moeshift {

/// Parses a whole JSON document.
/// @param source what to call it in errors: a path, "<stdin>".
/// @throws InputError "source:line: ..." on bad syntax, truncation and duplicate keys.
[[nodiscard]] nlohmann::ordered_json parse_json(std::string_view text, const std::string& source);

/// `key` as a token of a JSON pointer (RFC 6901): '~' and '/' escaped.
[[nodiscard]] std::string pointer_token(std::string_view key);

/// A cursor on one value of a parsed document: typed, checked access that knows its JSON pointer.
///
/// The document must outlive the cursor. Every accessor throws InputError
/// "source#/pointer: expected ..." when the value is not what is asked for.
class JsonReader {
 public:
  JsonReader(const nlohmann::ordered_json& value, std::string source, std::string pointer = "");

  [[nodiscard]] bool is_object() const;
  [[nodiscard]] bool is_array() const;
  [[nodiscard]] bool is_string() const;
  [[nodiscard]] bool is_number() const;
  [[nodiscard]] bool is_null() const;

  [[nodiscard]] bool has(std::string_view key) const;
  /// The member `key`; throws when it is missing or this is no object.
  [[nodiscard]] JsonReader at(std::string_view key) const;
  [[nodiscard]] std::optional<JsonReader> find(std::string_view key) const;
  [[nodiscard]] std::vector<std::string> keys() const;
  /// Throws, naming the first key that is not in `known` (with the closest known one).
  void allow_only(std::span<const std::string_view> known) const;

  /// The items of an array; throws when it is none.
  [[nodiscard]] std::vector<JsonReader> items() const;
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] JsonReader at(std::size_t index) const;

  [[nodiscard]] bool boolean() const;
  [[nodiscard]] std::string string() const;
  /// Finite; whole numbers are welcome.
  [[nodiscard]] double number() const;
  [[nodiscard]] double positive_number() const;
  [[nodiscard]] double non_negative_number() const;
  /// A whole number in [lowest, highest]; 3.0 passes, 3.5, -1 and 1e30 do not.
  [[nodiscard]] std::int64_t whole(std::int64_t lowest = 0,
                                   std::int64_t highest = std::int64_t{1} << 53) const;

  [[nodiscard]] const nlohmann::ordered_json& raw() const { return *value_; }
  [[nodiscard]] std::string where() const { return source_ + "#" + pointer_; }
  /// Throws InputError at this place.
  [[noreturn]] void fail(const std::string& expectation) const;

 private:
  const nlohmann::ordered_json* value_;
  std::string source_;
  std::string pointer_;
};

/// Gathers what is wrong with the keys of several objects, so that one message names it all.
class KeyCheck {
 public:
  /// Notes every key of `required` that `object` lacks and every key it has that is in neither
  /// list.
  /// @throws InputError when it is no object.
  void check(const JsonReader& object, std::span<const std::string_view> required,
             std::span<const std::string_view> optional = {});
  /// @throws InputError naming everything noted so far, at the place of the first.
  void finish() const;

 private:
  struct Fault {
    std::string where;
    std::string what;
  };
  std::vector<Fault> faults_;
};

}  // namespace moeshift
