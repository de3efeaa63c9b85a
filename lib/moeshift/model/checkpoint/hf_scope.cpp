// SPDX-License-Identifier: Apache-2.0
// What of the experts a quantisation covers.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_layouts.hpp"

namespace moeshift {
namespace {

/// Modules that stay as they were trained.
std::vector<ModulePattern> spared_modules(const HfQuantization& stated) {
  const JsonReader& quantization = stated.json;
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
  if (stated.method == "auto-round") {
    for (ModulePattern& module : spared_by_auto_round(quantization)) {
      modules.push_back(std::move(module));
    }
  }
  // GPTQModel: patterns that begin with "-:" take modules out.
  if (const auto dynamic = quantization.find("dynamic"); dynamic && dynamic->is_object()) {
    for (const std::string& key : dynamic->keys()) {
      if (key.starts_with("-:")) modules.push_back(ModulePattern::regex(key.substr(2)));
    }
  }
  return modules;
}

std::vector<std::int64_t> layers_covered(const ModulePattern& module, ExpertNames& names,
                                         const std::vector<std::int64_t>& moe,
                                         const std::string& projection) {
  if (!module.tells_layers_apart()) {
    return module.covers(names, moe.front(), projection) ? moe : std::vector<std::int64_t>{};
  }
  if (const auto only = module.layer()) {
    const bool covered = module.covers(names, *only, projection);
    return covered ? std::vector{*only} : std::vector<std::int64_t>{};
  }
  std::vector<std::int64_t> layers;
  for (const std::int64_t layer : moe) {
    if (module.covers(names, layer, projection)) layers.push_back(layer);
  }
  return layers;
}

/// Of draft layers, where config.json names none with experts.
bool is_of_other_drafts(const HfConfig& config, const ModulePattern& module) {
  return config.layers.mtp.empty() && module.text().find("mtp") != std::string::npos;
}

/// The list "targets" of a group, read once: it may have a name for every expert.
class Targets {
 public:
  explicit Targets(const JsonReader& json) {
    const auto targets = json.find("targets");
    if (!targets || !targets->is_array()) {  // missing, it means all
      least_ = kAmongOthers;
      return;
    }
    for (const JsonReader& target : targets->items()) add(target.string());
  }

  /// How surely they mean a projection of experts: kByName, kAmongOthers (linear layers) or 0.
  [[nodiscard]] int rank(ExpertNames& names, std::int64_t layer,
                         const std::string& projection) const {
    if (least_ == kByName) return kByName;
    const auto covers = [&](const ModulePattern& pattern) {
      return pattern.covers(names, layer, projection);
    };
    return std::ranges::any_of(patterns_, covers) ? kByName : least_;
  }
  [[nodiscard]] bool tell_layers_apart() const {
    return std::ranges::any_of(patterns_, &ModulePattern::tells_layers_apart);
  }

 private:
  static constexpr int kByName = 2;
  static constexpr int kAmongOthers = 1;

  void add(const std::string& target) {
    const bool class_of_experts =
        target.find("MoE") != std::string::npos || target.find("Experts") != std::string::npos;
    if (target == "Linear") {
      least_ = std::max(least_, kAmongOthers);
    } else if (class_of_experts) {
      least_ = kByName;
    } else {
      patterns_.emplace_back(target);
    }
  }

  std::vector<ModulePattern> patterns_;
  int least_ = 0;
};

/// A group of config_groups.
struct Group {
  Targets targets;
  std::optional<ExpertScheme> scheme;
};

/// The group's own format, or that of all.
std::string format_of(const JsonReader& quantization, const JsonReader& group) {
  for (const JsonReader& json : {group, quantization}) {
    const auto format = json.find("format");
    if (format && format->is_string()) return format->string();
  }
  return "";
}

std::vector<Group> groups_of(const JsonReader& quantization) {
  const JsonReader groups = quantization.at("config_groups");
  std::vector<Group> all;
  for (const std::string& name : groups.keys()) {
    const JsonReader json = groups.at(name);
    Group& group = all.emplace_back(Group{Targets(json), {}});
    const auto weights = json.find("weights");
    if (weights && !weights->is_null()) {
      group.scheme = ExpertScheme{*weights, format_of(quantization, json)};
    }
  }
  if (all.empty()) groups.fail("expected a group");
  return all;
}

/// Of one layer.
std::optional<ExpertScheme> scheme_of_layer(const JsonReader& quantization,
                                            const std::vector<Group>& groups, ExpertNames& names,
                                            std::int64_t layer, const std::string& projection) {
  std::optional<ExpertScheme> best;
  int rank = 0;
  for (const Group& group : groups) {
    const int of_group = group.targets.rank(names, layer, projection);
    if (of_group == 0 || of_group < rank) continue;
    if (of_group == rank && group.scheme != best) {
      quantization.at("config_groups")
          .fail(fmt::format("several groups cover the experts with different weights: {}",
                            kWriteTensors));
    }
    rank = of_group;
    best = group.scheme;
  }
  return best;
}

/// Layers that a quantiser's list of modules leaves out: vllm-ascend's says FLOAT of them,
/// ModelOpt's quantized_layers does not name them.
std::vector<std::int64_t> layers_not_listed(const HfConfig& config,
                                            const HfQuantization& quantization,
                                            std::vector<std::string>& assumed) {
  std::vector<std::int64_t> layers;
  if (quantization.method == "ascend") {
    for (const auto& [layer, types] : ascend_types(config, quantization.json)) {
      if (types == std::set<std::string>{"FLOAT"}) layers.push_back(layer);
    }
    return layers;
  }
  const auto list = quantization.json.find("quantized_layers");
  if (!quantization.method.starts_with("modelopt") || !list || !list->is_object()) return layers;
  std::set<std::int64_t> named;
  for (const auto& [name, entry] : list->raw().items()) {
    const auto layer = expert_layer_in(config, name);
    if (layer) named.insert(*layer);
  }
  for (const std::int64_t layer : config.layers.with_drafts) {
    if (!named.contains(layer)) layers.push_back(layer);
  }
  if (named.empty()) assumed.emplace_back("quantized_layers names no experts: taken as trained");
  return layers;
}

}  // namespace

std::optional<std::int64_t> expert_layer_in(const HfConfig& config, const std::string& name) {
  if (name.find(".experts") == std::string::npos) return {};
  const auto layer = layer_in(name);
  const bool draft = name.starts_with("mtp.") || name.find(".mtp.") != std::string::npos;
  if (!layer || !draft) return layer;
  return *layer + static_cast<std::int64_t>(config.layers.all);
}

std::vector<std::set<std::int64_t>> layers_left_alone(const HfConfig& config,
                                                      const HfQuantization& quantization,
                                                      const std::vector<std::string>& projections,
                                                      std::vector<std::string>& assumed) {
  const std::vector<std::int64_t>& moe = config.layers.with_drafts;
  std::vector<std::set<std::int64_t>> spared(projections.size());
  if (quantization.method == "mindie") return spared;  // one word for all
  std::vector<std::string> unmatched;
  ExpertNames names(config);
  for (const ModulePattern& module : spared_modules(quantization)) {
    if (module.layer() && std::ranges::find(moe, *module.layer()) == moe.end()) continue;
    bool matched = false;
    for (std::size_t p = 0; p < projections.size(); ++p) {
      const auto covered = layers_covered(module, names, moe, projections[p]);
      spared[p].insert(covered.begin(), covered.end());
      matched = matched || !covered.empty();
    }
    if (!module.readable()) {
      assumed.push_back(fmt::format("'{}' is no pattern that is understood here: taken for {}",
                                    module.text(), matched ? "experts" : "no experts"));
    } else if (!matched && is_about_experts(module.text()) && !is_of_other_drafts(config, module)) {
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
  for (const std::int64_t layer : layers_not_listed(config, quantization, assumed)) {
    for (auto& of_projection : spared) of_projection.insert(layer);
  }
  return spared;
}

bool ExpertScheme::operator==(const ExpertScheme& other) const {
  return format == other.format && weights.raw() == other.weights.raw();
}

std::optional<ExpertScheme> scheme_of_experts(const HfConfig& config,
                                              const JsonReader& quantization,
                                              const std::string& projection) {
  const std::vector<Group> groups = groups_of(quantization);
  const std::vector<std::int64_t>& moe = config.layers.counted;
  ExpertNames names(config);
  const auto first = scheme_of_layer(quantization, groups, names, moe.front(), projection);
  const bool apart = std::ranges::any_of(
      groups, [](const Group& group) { return group.targets.tell_layers_apart(); });
  if (!apart) return first;
  for (const std::int64_t layer : moe) {
    if (scheme_of_layer(quantization, groups, names, layer, projection) == first) continue;
    quantization.at("config_groups")
        .fail(fmt::format("{} of experts has other weights in layer {} than in layer {}: {}",
                          projection, layer, moe.front(), kWriteTensors));
  }
  return first;
}

bool covers_experts(const HfConfig& config, const JsonReader& json, const std::string& projection) {
  ExpertNames names(config);
  const std::int64_t layer = config.layers.moe.front();
  if (Targets(json).rank(names, layer, projection) == 0) return false;
  const auto ignored = json.find("ignore");
  if (!ignored || !ignored->is_array()) return true;
  const auto items = ignored->items();
  return std::none_of(items.begin(), items.end(), [&](const JsonReader& item) {
    return item.is_string() && ModulePattern(item.string()).covers(names, layer, projection);
  });
}

}  // namespace moeshift
