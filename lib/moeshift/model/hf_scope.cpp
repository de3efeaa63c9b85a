// SPDX-License-Identifier: Apache-2.0
// What of the experts a quantisation covers.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/hf_parts.hpp"

namespace moeshift {
namespace {

/// Modules that stay as they were trained.
std::vector<ModulePattern> spared_modules(const JsonReader& quantization) {
  std::set<std::string> texts;
  for (const char* key : {"ignore", "ignored_layers", "modules_to_not_convert", "exclude_modules",
                          "exclude", "llm_int8_skip_modules"}) {
    const auto list = quantization.find(key);
    if (!list || !list->is_array()) continue;
    for (const JsonReader& item : list->items()) {
      if (item.is_string() && !item.string().empty()) texts.insert(item.string());
    }
  }
  std::vector<ModulePattern> modules;
  for (const std::string& text : texts) modules.emplace_back(text);
  // GPTQModel: patterns that begin with "-:" take modules out.
  if (const auto dynamic = quantization.find("dynamic"); dynamic && dynamic->is_object()) {
    for (const std::string& key : dynamic->keys()) {
      if (key.starts_with("-:")) modules.push_back(ModulePattern::regex(key.substr(2)));
    }
  }
  return modules;
}

std::vector<std::int64_t> layers_covered(const ModulePattern& module,
                                         const std::vector<std::int64_t>& moe,
                                         const std::string& projection) {
  if (!module.tells_layers_apart()) {
    return module.covers(moe.front(), projection) ? moe : std::vector<std::int64_t>{};
  }
  std::vector<std::int64_t> layers;
  for (const std::int64_t layer : moe) {
    if (module.covers(layer, projection)) layers.push_back(layer);
  }
  return layers;
}

/// How surely targets mean a projection of experts: 2 by their name or a pattern, 1 as linear
/// layers among others, 0 not at all.
int rank_of_target(const std::string& target, std::int64_t layer, const std::string& projection) {
  if (target == "Linear") return 1;
  if (target.find("MoE") != std::string::npos || target.find("Experts") != std::string::npos) {
    return 2;
  }
  return ModulePattern(target).covers(layer, projection) ? 2 : 0;
}

/// True when a target may be about some layers alone.
bool tell_layers_apart(const JsonReader& groups) {
  for (const std::string& name : groups.keys()) {
    const auto targets = groups.at(name).find("targets");
    if (!targets || !targets->is_array()) continue;
    for (const JsonReader& target : targets->items()) {
      if (ModulePattern(target.string()).tells_layers_apart()) return true;
    }
  }
  return false;
}

/// Of one layer.
std::optional<JsonReader> scheme_of_layer(const JsonReader& groups, std::int64_t layer,
                                          const std::string& projection) {
  std::optional<JsonReader> best;
  int rank = 0;
  for (const std::string& name : groups.keys()) {
    const JsonReader group = groups.at(name);
    const auto targets = group.find("targets");
    int of_group = targets && targets->is_array() ? 0 : 1;  // nothing said: all
    if (of_group == 0) {
      for (const JsonReader& target : targets->items()) {
        of_group = std::max(of_group, rank_of_target(target.string(), layer, projection));
      }
    }
    if (of_group == 0 || of_group < rank) continue;
    auto weights = group.find("weights");
    if (weights && weights->is_null()) weights.reset();
    const bool differ =
        weights.has_value() != best.has_value() || (weights && weights->raw() != best->raw());
    if (of_group == rank && differ) {
      groups.fail(fmt::format("several groups cover the experts with different weights: {}",
                              kWriteTensors));
    }
    rank = of_group;
    best = weights;
  }
  return best;
}

}  // namespace

std::vector<std::vector<std::int64_t>> layers_left_alone(
    const HfConfig& config, const JsonReader& quantization,
    const std::vector<std::string>& projections, std::vector<std::string>& assumed) {
  const std::vector<std::int64_t> moe = hf_layers(config).moe;
  std::vector<std::set<std::int64_t>> spared(projections.size());
  std::vector<std::string> unmatched;
  for (const ModulePattern& module : spared_modules(quantization)) {
    const auto only = layer_in(module.text());
    if (only && module.text().find('|') == std::string::npos &&
        std::ranges::find(moe, *only) == moe.end())
      continue;
    bool matched = false;
    for (std::size_t p = 0; p < projections.size(); ++p) {
      const auto covered = layers_covered(module, moe, projections[p]);
      spared[p].insert(covered.begin(), covered.end());
      matched = matched || !covered.empty();
    }
    if (!module.readable()) {
      assumed.push_back(fmt::format("'{}' is no pattern that is understood here: taken for {}",
                                    module.text(), matched ? "experts" : "no experts"));
    } else if (!matched && is_about_experts(module.text())) {
      unmatched.push_back(module.text());
    }
  }
  if (!unmatched.empty()) {
    const std::string others =
        unmatched.size() == 1 ? "" : fmt::format(" (and {} like it)", unmatched.size() - 1);
    assumed.push_back(
        fmt::format("'{}'{} matches no name that experts have here: all are taken as quantised",
                    unmatched.front(), others));
  }
  std::vector<std::vector<std::int64_t>> layers;
  for (const auto& set : spared) layers.emplace_back(set.begin(), set.end());
  return layers;
}

std::optional<JsonReader> scheme_of_experts(const HfConfig& config, const JsonReader& quantization,
                                            const std::string& projection) {
  const JsonReader groups = quantization.at("config_groups");
  if (groups.keys().empty()) groups.fail("expected a group");
  const std::vector<std::int64_t> moe = hf_layers(config).moe;
  const auto first = scheme_of_layer(groups, moe.front(), projection);
  if (!tell_layers_apart(groups)) return first;
  for (const std::int64_t layer : moe) {
    const auto other = scheme_of_layer(groups, layer, projection);
    if (other.has_value() == first.has_value() && (!first || first->raw() == other->raw())) {
      continue;
    }
    groups.fail(fmt::format("{} of experts has other weights in layer {} than in layer {}: {}",
                            projection, layer, moe.front(), kWriteTensors));
  }
  return first;
}

}  // namespace moeshift
