// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/python_json.hpp"

#include <array>
#include <cctype>
#include <limits>
#include <optional>

#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

struct Word {
  std::string_view written;
  double value;
};
constexpr std::array<Word, 3> kWords = {{{"-Infinity", -std::numeric_limits<double>::infinity()},
                                         {"Infinity", std::numeric_limits<double>::infinity()},
                                         {"NaN", std::numeric_limits<double>::quiet_NaN()}}};

/// Stands before a word in the text that nlohmann parses, where the word is a string. No text that
/// a person or a program writes begins so.
constexpr char kMark = '\x01';
constexpr std::string_view kMarkEscaped = "\\u0001";

bool is_of_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
}

/// The word at `at`, where it is a value: not a part of a longer word, not a key.
std::optional<std::string_view> word_at(std::string_view text, std::size_t at) {
  if (at > 0 && is_of_word(text[at - 1])) return {};
  for (const Word& word : kWords) {
    if (!text.substr(at).starts_with(word.written)) continue;
    const std::size_t end = at + word.written.size();
    if (end < text.size() && is_of_word(text[end])) return {};
    const std::size_t next = text.find_first_not_of(" \t\r\n", end);
    const bool key = next != std::string_view::npos && text[next] == ':';
    return key ? std::nullopt : std::optional(word.written);
  }
  return {};
}

/// `text` with the words as marked strings; lines stay where they are.
std::string with_marks(std::string_view text) {
  std::string marked;
  marked.reserve(text.size() + 64);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\' && i + 1 < text.size()) {
      marked += c;
      marked += text[++i];
      continue;
    }
    if (c == '"') quoted = !quoted;
    const auto word = quoted ? std::nullopt : word_at(text, i);
    if (!word) {
      marked += c;
      continue;
    }
    marked += '"';
    marked += kMarkEscaped;
    marked += *word;
    marked += '"';
    i += word->size() - 1;
  }
  return marked;
}

void put_numbers(Json& json) {
  if (json.is_structured()) {
    for (Json& item : json) put_numbers(item);
    return;
  }
  if (!json.is_string()) return;
  const std::string& text = json.get_ref<const std::string&>();
  if (text.empty() || text.front() != kMark) return;
  const std::string written = text.substr(1);
  for (const Word& word : kWords) {
    if (written == word.written) json = word.value;
  }
}

}  // namespace

nlohmann::ordered_json parse_python_json(std::string_view text, const std::string& source) {
  const bool none =
      text.find("NaN") == std::string_view::npos && text.find("Infinity") == std::string_view::npos;
  if (none) return parse_json(text, source);
  Json json = parse_json(with_marks(text), source);
  put_numbers(json);
  return json;
}

}  // namespace moeshift
