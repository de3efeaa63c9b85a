// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/json/json_items.hpp"

#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/json/json_scan.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kFirstLook = std::size_t{1} << 12U;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

}  // namespace

JsonItems::JsonItems(ByteSource& bytes, std::string key, OnMember on_member)
    : bytes_(bytes), key_(std::move(key)), on_member_(std::move(on_member)) {
  expect('{');
  skip_to_array();
}

void JsonItems::skip_to_array() {
  while (true) {
    const std::string key = read_key();
    if (key == key_) break;
    read_member(key);
    if (look() == '}') fail(fmt::format("expected the key \"{}\"", key_));
    expect(',');
  }
  expect('[');
  in_array_ = true;
}

bool JsonItems::next(std::string_view& item) {
  if (ended_) return false;
  if (look() == ']') {
    expect(']');
    in_array_ = false;
    skip_rest();
    ended_ = true;
    return false;
  }
  if (items_ > 0) expect(',');
  item = value();
  ++items_;
  return true;
}

JsonPlace JsonItems::place() const {
  return JsonPlace{bytes_.name(), ""}.at(key_).at(items_ == 0 ? 0 : items_ - 1);
}

void JsonItems::skip_rest() {
  while (look() == ',') {
    expect(',');
    const std::string key = read_key();
    if (key == key_) fail(fmt::format("key \"{}\" appears twice in one object", key_));
    read_member(key);
  }
  expect('}');
  skip_space();
  if (!bytes_.peek(1).empty()) fail("expected nothing after the object");
}

void JsonItems::read_member(const std::string& key) {
  const std::string_view text = value();
  if (on_member_) on_member_(key, text);
}

std::string JsonItems::read_key() {
  if (look() != '"') fail("expected a key");
  const std::string_view quoted = value();
  std::string key(quoted.substr(1, quoted.size() - 2));
  expect(':');
  return key;
}

std::string_view JsonItems::value() {
  skip_space();
  ValueEnd end;
  for (std::size_t wanted = kFirstLook;; wanted *= 2) {
    const std::string_view text = bytes_.peek(wanted);
    const std::size_t length = end.find(text);
    if (length == 0) fail("expected a value");
    if (length != std::string_view::npos) return bytes_.take(length);
    if (text.size() < wanted) fail("the file is cut off");
    if (wanted > ByteSource::kLongestLine) fail("expected items below 256 MiB");
  }
}

void JsonItems::skip_space() {
  while (true) {
    const std::string_view text = bytes_.peek(1);
    if (text.empty() || !is_space(text[0])) return;
    static_cast<void>(bytes_.take(1));
  }
}

char JsonItems::look() {
  skip_space();
  const std::string_view text = bytes_.peek(1);
  if (text.empty()) fail("the file is cut off");
  return text[0];
}

void JsonItems::expect(char wanted) {
  if (look() != wanted) fail(fmt::format("expected '{}'", wanted));
  static_cast<void>(bytes_.take(1));
}

void JsonItems::fail(const std::string& expectation) const {
  const JsonPlace document{bytes_.name(), ""};
  (in_array_ ? document.at(key_).at(items_) : document).fail(expectation);
}

}  // namespace moeshift
