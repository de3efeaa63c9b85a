// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/json/json_scan.hpp"

#include <cstdint>
#include <cstring>

namespace moeshift {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Whether the next eight characters are neither quotes nor brackets: of what arrays of numbers are
/// made of. Brackets (and most letters) have bit 6, digits, commas and blanks have not.
bool is_plain(const char* text) {
  constexpr std::uint64_t kOnes = 0x0101010101010101U;
  std::uint64_t word = 0;
  std::memcpy(&word, text, sizeof word);
  if ((word & (kOnes * 0x40U)) != 0) return false;
  const std::uint64_t quote = word ^ (kOnes * '"');
  return ((quote - kOnes) & ~quote & (kOnes * 0x80U)) == 0;
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

std::optional<std::vector<std::string_view>> items_of(std::string_view array) {
  std::vector<std::string_view> items;
  Front front(array);
  if (!front.take('[')) return {};
  while (true) {
    const std::string_view item = front.value();
    if (item.empty()) return {};
    items.push_back(item);
    if (front.take(',')) continue;
    if (!front.take(']') || !front.ended()) return {};
    return items;
  }
}

}  // namespace

std::size_t ValueEnd::find(std::string_view text) {
  for (; at_ < text.size(); ++at_) {
    if (!in_string_ && depth_ > 0) {
      while (at_ + sizeof(std::uint64_t) <= text.size() && is_plain(text.data() + at_)) {
        at_ += sizeof(std::uint64_t);
      }
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
    const std::string_view value = front.value();
    if (value.empty()) return {};
    if (name.substr(1, name.size() - 2) != key) {
      split.others.push_back(front.since(begin));
    } else if (!split.array.empty()) {
      return {};
    } else {
      split.array = value;
    }
    if (front.take(',')) continue;
    if (!front.take('}') || !front.ended()) return {};
    break;
  }
  auto items = items_of(split.array);
  if (!items) return {};
  split.items = *std::move(items);
  return split;
}

}  // namespace moeshift
