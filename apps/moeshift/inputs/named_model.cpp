// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/named_model.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "moeshift/model/shipped.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/model_agreement.hpp"

namespace moeshift::cli {
namespace {

/// A name as Hugging Face has it; no owner where only the model is named, or a folder.
struct RepositoryName {
  std::string owner;
  std::string model;
};

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// "models--deepseek-ai--DeepSeek-R1" of the cache as "deepseek-ai/DeepSeek-R1".
std::string out_of_cache(const std::string& name) {
  constexpr std::string_view kMark = "models--";
  const std::size_t at = name.find(kMark);
  if (at == std::string::npos) return name;
  std::string inner = name.substr(at + kMark.size());
  inner = inner.substr(0, inner.find('/'));
  const std::size_t dashes = inner.find("--");
  return dashes == std::string::npos ? inner : inner.replace(dashes, 2, "/");
}

RepositoryName parsed(const std::string& recorded) {
  std::string name = out_of_cache(lower(recorded));
  while (name.ends_with('/')) name.pop_back();
  const std::size_t slash = name.rfind('/');
  if (slash == std::string::npos) return {"", name};
  const std::string before = name.substr(0, slash);
  const bool folder = before.find('/') != std::string::npos || before.empty() ||
                      before.starts_with('.') || before.starts_with('~');
  return {folder ? "" : before, name.substr(slash + 1)};
}

bool holds(const MoeModel& model, const RepositoryName& name) {
  return std::ranges::any_of(model.repositories, [&](const std::string& repository) {
    const RepositoryName own = parsed(repository);
    return own.model == name.model && (name.owner.empty() || name.owner == own.owner);
  });
}

/// `shipped` is `name` in some precision, which is one word.
bool is_precision_of(const std::string& shipped, const std::string& name) {
  return shipped.starts_with(name + "_") && shipped.find('_', name.size() + 1) == std::string::npos;
}

}  // namespace

std::vector<NamedModel> models_named(const Session& session, const std::string& recorded) {
  constexpr std::size_t kShortest = 3;  // "m" and "x" are no names
  const RepositoryName name = parsed(recorded);
  std::vector<NamedModel> named;
  if (name.model.size() < kShortest) return named;
  const std::string configuration = as_configuration(name.model);
  for (const std::string& shipped : session.shipped("models")) {
    MoeModel model = load_model(session.config_path("models", shipped));
    if (shipped == configuration) return {{shipped, std::move(model), true}};
    const bool held = holds(model, name);
    if (!held && !is_precision_of(shipped, configuration)) continue;
    named.push_back({shipped, std::move(model), held});
  }
  return named;
}

}  // namespace moeshift::cli
