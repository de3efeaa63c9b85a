// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/yaml/yaml_document.hpp"

#include <map>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Looks at every key of every map, in the order of the text.
class KeyCheck final : public YAML::EventHandler {
 public:
  explicit KeyCheck(std::string name) : name_(std::move(name)) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    open_.clear();
    if (documents_++ > 0) {
      fail(mark, "expected one YAML document, and here begins another: engines refuse such a file");
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { item(mark, ""); }
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { turn(); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string& value) override {
    item(mark, value);
  }
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    turn();
    open_.push_back({.is_map = false});
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    turn();
    open_.push_back({.is_map = true, .key_next = true});
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Level {
    bool is_map = false;
    bool key_next = false;
    std::map<std::string, int> lines = {};  ///< of the keys so far
  };

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& expectation) const {
    throw InputError(fmt::format("{}:{}", name_, mark.line + 1), expectation);
  }

  /// Keys and values of a map come in turn.
  void turn() {
    if (!open_.empty()) open_.back().key_next = open_.back().is_map && !open_.back().key_next;
  }

  void item(const YAML::Mark& mark, const std::string& value) {
    if (!open_.empty() && open_.back().key_next) check_key(mark, value);
    turn();
  }

  void check_key(const YAML::Mark& mark, const std::string& key) {
    if (key == "<<") fail(mark, "merge keys are not read: write out what \"<<\" stands for");
    const auto [at, is_new] = open_.back().lines.emplace(key, mark.line + 1);
    if (is_new) return;
    fail(mark, fmt::format("the key \"{}\" is there already, in line {}: keep one of them", key,
                           at->second));
  }

  std::string name_;
  std::size_t documents_ = 0;
  std::vector<Level> open_;
};

}  // namespace

YAML::Node yaml_document(const std::string& text, const std::string& name) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  KeyCheck check(name);
  while (parser.HandleNextDocument(check)) {
  }
  return YAML::Load(text);
}

}  // namespace moeshift
