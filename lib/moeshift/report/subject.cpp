// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/subject.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;
using Subject = std::vector<std::pair<std::string, std::string>>;

/// Commands whose positional argument is a trace. Those of others are results, which differ by the
/// time that making them took.
constexpr std::array<std::string_view, 6> kOfTraces = {"plan",  "compare",  "simulate",
                                                       "sweep", "diagnose", "trace_info"};

const Json* find(const Json& json, std::initializer_list<const char*> path) {
  const Json* value = &json;
  for (const char* key : path) {
    if (!value->is_object()) return nullptr;
    const auto found = value->find(key);
    if (found == value->end()) return nullptr;
    value = &*found;
  }
  return value;
}

std::vector<std::string> words_of(const Json& envelope) {
  std::vector<std::string> words;
  const Json* argv = find(envelope, {"meta", "argv"});
  if (argv == nullptr || !argv->is_array()) return words;
  for (const Json& word : *argv) words.push_back(word.is_string() ? word.get<std::string>() : "");
  return words;
}

/// The value of "--name value" or "--name=value".
std::optional<std::string> option_in(const std::vector<std::string>& words,
                                     const std::string& name) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == name && i + 1 < words.size()) return words[i + 1];
    if (words[i].starts_with(name + "=")) return words[i].substr(name.size() + 1);
  }
  return std::nullopt;
}

/// True when `path` stands in the command line and is no option's value.
bool is_positional(const std::vector<std::string>& words, const std::string& path) {
  const std::string word = path == "<stdin>" ? "-" : path;
  for (std::size_t i = 2; i < words.size(); ++i) {
    if (words[i] == word && !words[i - 1].starts_with("--")) return true;
  }
  return false;
}

void add_trace(Subject& subject, const Json& envelope, const std::vector<std::string>& words) {
  const Json* inputs = find(envelope, {"meta", "inputs"});
  if (inputs == nullptr || !inputs->is_array()) return;
  for (const Json& input : *inputs) {
    const Json* path = find(input, {"path"});
    const Json* hash = find(input, {"sha256"});
    if (path == nullptr || hash == nullptr || !path->is_string() || !hash->is_string()) continue;
    if (!is_positional(words, path->get<std::string>())) continue;
    subject.emplace_back("trace", hash->get<std::string>());
    return;
  }
}

void add_number(Subject& subject, const std::string& what, const Json* value) {
  if (value != nullptr && value->is_number()) subject.emplace_back(what, value->dump());
}

/// The file's name without folder and ending: shipped machines are called by it or by a path.
std::string stem_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  return file.ends_with(".json") ? file.substr(0, file.size() - 5) : file;
}

void add_shape(Subject& subject, const Json& result) {
  for (const char* key : {"ranks", "nodes", "slots", "interval_steps"}) {
    add_number(subject, key, find(result, {key}));
  }
  add_number(subject, "experts", find(result, {"placement", "num_experts"}));
  add_number(subject, "ranks", find(result, {"placement", "num_ranks"}));
  const Json* map = find(result, {"placement", "physical_to_logical"});
  if (map != nullptr && map->is_array() && !map->empty() && map->front().is_array()) {
    subject.emplace_back("layers", std::to_string(map->size()));
    subject.emplace_back("slots", std::to_string(map->front().size()));
  }
}

Subject subject_of(const Json& envelope) {
  Subject subject;
  const std::vector<std::string> words = words_of(envelope);
  const Json* schema = find(envelope, {"schema"});
  const std::string command =
      schema != nullptr && schema->is_string() ? schema->get<std::string>() : "";
  const bool of_trace = std::any_of(kOfTraces.begin(), kOfTraces.end(), [&](std::string_view name) {
    return command.starts_with("moeshift." + std::string(name) + "/");
  });
  if (of_trace) add_trace(subject, envelope, words);
  if (const auto model = option_in(words, "--model"))
    subject.emplace_back("model", stem_of(*model));
  if (const auto machine = option_in(words, "--cluster")) {
    subject.emplace_back("machine", stem_of(*machine));
  }
  const Json* result = find(envelope, {"result"});
  if (result == nullptr) return subject;
  for (const char* key : {"policy", "mode", "dispatch", "transport"}) {
    const Json* text = find(*result, {key});
    if (text != nullptr && text->is_string()) subject.emplace_back(key, text->get<std::string>());
  }
  add_shape(subject, *result);
  return subject;
}

}  // namespace

std::vector<SubjectDifference> differences_in_subject(const Json& result, const Json& baseline) {
  const Subject now = subject_of(result);
  std::vector<SubjectDifference> differences;
  for (const auto& [what, before] : subject_of(baseline)) {
    const auto same = std::find_if(now.begin(), now.end(),
                                   [&, &key = what](const auto& one) { return one.first == key; });
    if (same != now.end() && same->second != before)
      differences.push_back({what, before, same->second});
  }
  return differences;
}

}  // namespace moeshift
