// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/json_reader.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/byte_order_mark.hpp"
#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDeepestJson = 1024;

std::size_t line_of(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  return 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
}

/// nlohmann's message without its "[json.exception...] parse error at line l, column c: " head.
std::string reason_of(const nlohmann::json::parse_error& error) {
  const std::string_view message = error.what();
  const std::size_t head = message.find(": ");
  return std::string(head == std::string_view::npos ? message : message.substr(head + 2));
}

/// Builds the document. nlohmann's own builder looks for a key among all before it, and keeps the
/// last of equal ones without a word: objects with a name for every expert took minutes.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON has none
  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return open(Json::object());
  }
  bool end_object() override {
    keys_.pop_back();
    return close();
  }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      duplicate_ = name;
      return false;
    }
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&,
                   const nlohmann::detail::exception&) override {
    fault_byte_ = byte;
    return false;
  }
  [[nodiscard]] Json take() { return std::move(root_); }
  [[nodiscard]] std::size_t fault_byte() const { return fault_byte_; }
  [[nodiscard]] const std::optional<std::string>& duplicate() const { return duplicate_; }

 private:
  Json& place(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_array()) return parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
    // Of the vector below: the map's own emplace() would search.
    return parent.get_ref<Json::object_t&>().emplace_back(std::move(key_), std::move(value)).second;
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  /// A parent does not grow while its child is open, so that the pointers stay good.
  bool open(Json value) {
    open_.push_back(&place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;
  std::string key_;
  std::vector<std::set<std::string>> keys_;
  std::optional<std::string> duplicate_;
  std::size_t fault_byte_ = 0;
};

/// The byte at which a document nests deeper than any of ours; readers of it may recurse.
std::optional<std::size_t> too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepestJson) return i;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return std::nullopt;
}

/// The byte of the second occurrence of a key; only used to name a line.
std::size_t second_occurrence(std::string_view text, const std::string& key) {
  const std::string quoted = Json(key).dump();
  const std::size_t first = text.find(quoted);
  const std::size_t second = text.find(quoted, first + 1);
  return second == std::string_view::npos ? 0 : second;
}

}  // namespace

nlohmann::ordered_json parse_json(std::string_view text, const std::string& source) {
  text.remove_prefix(byte_order_mark(text.substr(0, 8), source));
  if (const auto byte = too_deep(text)) {
    throw InputError(fmt::format("{}:{}", source, line_of(text, *byte)),
                     fmt::format("nested more than {} deep", kDeepestJson));
  }
  Builder builder;
  if (Json::sax_parse(text, &builder)) return builder.take();
  try {
    [[maybe_unused]] const Json kept = Json::parse(text);  // for its message
  } catch (const nlohmann::json::parse_error& error) {
    throw InputError(fmt::format("{}:{}", source, line_of(text, error.byte)),
                     "not valid JSON: " + reason_of(error));
  } catch (const nlohmann::json::out_of_range&) {
    throw InputError(fmt::format("{}:{}", source, line_of(text, builder.fault_byte())),
                     "not valid JSON: a number is too large");
  }
  MOESHIFT_CHECK(builder.duplicate());
  const std::string& key = *builder.duplicate();
  throw InputError(fmt::format("{}:{}", source, line_of(text, second_occurrence(text, key))),
                   fmt::format("key \"{}\" appears twice in one object", key));
}

std::string pointer_token(std::string_view key) {
  std::string token;
  for (const char c : key) {
    if (c == '~') {
      token += "~0";
    } else if (c == '/') {
      token += "~1";
    } else {
      token += c;
    }
  }
  return token;
}

JsonReader::JsonReader(const Json& value, std::string source, std::string pointer)
    : value_(&value), source_(std::move(source)), pointer_(std::move(pointer)) {}

bool JsonReader::is_object() const {
  return value_->is_object();
}
bool JsonReader::is_array() const {
  return value_->is_array();
}
bool JsonReader::is_string() const {
  return value_->is_string();
}
bool JsonReader::is_number() const {
  return value_->is_number();
}
bool JsonReader::is_null() const {
  return value_->is_null();
}

bool JsonReader::has(std::string_view key) const {
  return value_->is_object() && value_->contains(std::string(key));
}

JsonReader JsonReader::at(std::string_view key) const {
  if (!value_->is_object()) fail("expected an object");
  const auto found = value_->find(std::string(key));
  if (found == value_->end()) fail(fmt::format("expected the key \"{}\"", key));
  return {*found, source_, pointer_ + "/" + pointer_token(key)};
}

std::optional<JsonReader> JsonReader::find(std::string_view key) const {
  if (!has(key)) return std::nullopt;
  return at(key);
}

std::vector<std::string> JsonReader::keys() const {
  if (!value_->is_object()) fail("expected an object");
  std::vector<std::string> names;
  for (const auto& [name, unused] : value_->items()) names.push_back(name);
  return names;
}

void JsonReader::allow_only(std::span<const std::string_view> known) const {
  for (const std::string& key : keys()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    at(key).fail("unknown key" + did_you_mean(key, known));
  }
}

std::vector<JsonReader> JsonReader::items() const {
  std::vector<JsonReader> readers;
  readers.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) readers.push_back(at(i));
  return readers;
}

std::size_t JsonReader::size() const {
  if (!value_->is_array()) fail("expected an array");
  return value_->size();
}

JsonReader JsonReader::at(std::size_t index) const {
  if (index >= size()) fail(fmt::format("expected at least {} items", index + 1));
  return {(*value_)[index], source_, fmt::format("{}/{}", pointer_, index)};
}

bool JsonReader::boolean() const {
  if (!value_->is_boolean()) fail("expected true or false");
  return value_->get<bool>();
}

std::string JsonReader::string() const {
  if (!value_->is_string()) fail("expected a string");
  return value_->get<std::string>();
}

double JsonReader::number() const {
  if (!value_->is_number()) fail("expected a number");
  const double value = value_->get<double>();
  if (!std::isfinite(value)) fail("expected a finite number");
  return value;
}

double JsonReader::positive_number() const {
  const double value = number();
  if (value <= 0) fail("expected a number > 0");
  return value;
}

double JsonReader::non_negative_number() const {
  const double value = number();
  if (value < 0) fail("expected a number >= 0");
  return value;
}

std::int64_t JsonReader::whole(std::int64_t lowest, std::int64_t highest) const {
  const double value = value_->is_number() ? value_->get<double>() : std::nan("");
  const bool in_range =
      value >= static_cast<double>(lowest) && value <= static_cast<double>(highest);
  if (!in_range || std::floor(value) != value) {
    fail(fmt::format("expected a whole number in [{}, {}]", lowest, highest));
  }
  return static_cast<std::int64_t>(value);
}

void JsonReader::fail(const std::string& expectation) const {
  throw InputError(where(), expectation);
}

void KeyCheck::check(const JsonReader& object, std::span<const std::string_view> required,
                     std::span<const std::string_view> optional) {
  std::vector<std::string> missing;
  for (const std::string_view key : required) {
    if (!object.has(key)) missing.push_back(fmt::format("\"{}\"", key));
  }
  std::vector<std::string_view> known(required.begin(), required.end());
  known.insert(known.end(), optional.begin(), optional.end());
  for (const std::string& key : object.keys()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    faults_.push_back({object.at(key).where(), "unknown key" + did_you_mean(key, known)});
  }
  if (missing.empty()) return;
  faults_.push_back(
      {object.where(), fmt::format("expected the key{} {}", missing.size() > 1 ? "s" : "",
                                   fmt::join(missing, ", "))});
}

void KeyCheck::finish() const {
  if (faults_.empty()) return;
  std::string all = faults_.front().what;
  for (std::size_t i = 1; i < faults_.size(); ++i) {
    const Fault& fault = faults_[i];
    const std::string pointer = fault.where.substr(fault.where.find('#'));
    all += fmt::format("; {}: {}", pointer, fault.what);
  }
  throw InputError(faults_.front().where, all);
}

}  // namespace moeshift
