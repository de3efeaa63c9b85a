// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/json/json_scan.hpp"

namespace moeshift {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

constexpr std::size_t kPlainBlock = 64;

/// Quotes and brackets (and letters, by bit 6), which numbers, commas and blanks are not.
bool is_special(char c) {
  return static_cast<bool>(static_cast<unsigned>((c & 0x40) != 0) |
                           static_cast<unsigned>(c == '"'));
}

/// Where the first special character from `at` on is, or the end. Compilers make vectors of the
/// blocks.
std::size_t skip_plain(std::string_view text, std::size_t at) {
  for (; at + kPlainBlock <= text.size(); at += kPlainBlock) {
    bool special = false;
    for (std::size_t i = 0; i < kPlainBlock; ++i) special |= is_special(text[at + i]);
    if (special) break;
  }
  while (at < text.size() && !is_special(text[at])) ++at;
  return at;
}

/// A text that is taken apart from its front.
class Front {
 public:
  explicit Front(std::string_view text) : rest_(text) {}

  /// Skips blanks, then `wanted`. @return false where something else stands.
  bool take(char wanted) {
    skip_space();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// The next value; empty where there is none.
  std::string_view value() {
    skip_space();
    ValueEnd end;
    std::size_t length = end.find(rest_);
    if (length == std::string_view::npos) length = 0;
    const std::string_view text = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return text;
  }
  /// From `begin`, which was at the front once, up to here.
  [[nodiscard]] std::string_view since(const char* begin) const {
    return {begin, static_cast<std::size_t>(rest_.data() - begin)};
  }
  const char* here() {
    skip_space();
    return rest_.data();
  }
  bool ended() {
    skip_space();
    return rest_.empty();
  }

 private:
  void skip_space() {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
  }

  std::string_view rest_;
};

/// Takes an array. @return its items; none where something else stands there.
std::vector<std::string_view> take_items(Front& front) {
  std::vector<std::string_view> items;
  if (!front.take('[')) return {};
  while (true) {
    const std::string_view item = front.value();
    if (item.empty()) return {};
    items.push_back(item);
    if (front.take(',')) continue;
    if (!front.take(']')) return {};
    return items;
  }
}

}  // namespace

std::size_t ValueEnd::find(std::string_view text) {
  for (; at_ < text.size(); ++at_) {
    if (!in_string_ && depth_ > 0) {
      at_ = skip_plain(text, at_);
      if (at_ == text.size()) break;
    }
    const char c = text[at_];
    if (in_string_) {
      step_in_string(c);
      if (!in_string_ && depth_ == 0) return at_ + 1;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '[' || c == '{') {
      ++depth_;
    } else if (c == ']' || c == '}' || c == ',' || is_space(c)) {
      const bool closes = c == ']' || c == '}';
      if (depth_ == 0) return at_;  // after a number or a word
      if (closes && --depth_ == 0) return at_ + 1;
    }
  }
  return std::string_view::npos;
}

void ValueEnd::step_in_string(char c) {
  if (escaped_) {
    escaped_ = false;
  } else if (c == '\\') {
    escaped_ = true;
  } else if (c == '"') {
    in_string_ = false;
  }
}

std::optional<SplitObject> split_object(std::string_view text, std::string_view key) {
  SplitObject split;
  Front front(text);
  if (!front.take('{')) return {};
  while (true) {
    const char* begin = front.here();
    const std::string_view name = front.value();
    if (name.size() < 2 || name.front() != '"' || !front.take(':')) return {};
    if (name.substr(1, name.size() - 2) == key) {
      if (!split.items.empty()) return {};
      const char* array = front.here();
      split.items = take_items(front);
      if (split.items.empty()) return {};
      split.array = front.since(array);
    } else {
      if (front.value().empty()) return {};
      split.others.push_back(front.since(begin));
    }
    if (front.take(',')) continue;
    if (!front.take('}') || !front.ended()) return {};
    break;
  }
  if (split.items.empty()) return {};
  return split;
}

}  // namespace moeshift
