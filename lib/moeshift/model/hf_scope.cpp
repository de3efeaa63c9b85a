// SPDX-License-Identifier: Apache-2.0
// Which part of config.json's quantisation is about experts: lists of names that are left alone,
// and compressed-tensors' groups of targets.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <regex>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/hf_parts.hpp"

namespace moeshift {
namespace {

/// Names or patterns of modules that stay as they were trained.
std::vector<std::string> spared_names(const JsonReader& quantization) {
  std::vector<std::string> names;
  for (const char* key : {"ignore", "ignored_layers", "modules_to_not_convert", "exclude_modules",
                          "exclude", "llm_int8_skip_modules"}) {
    const auto list = quantization.find(key);
    if (!list || !list->is_array()) continue;
    for (const JsonReader& item : list->items()) {
      if (item.is_string()) names.push_back(item.string());
    }
  }
  // GPTQModel: patterns that begin with "-:" take modules out.
  if (const auto dynamic = quantization.find("dynamic"); dynamic && dynamic->is_object()) {
    for (const std::string& key : dynamic->keys()) {
      if (key.starts_with("-:")) names.push_back(key.substr(2));
    }
  }
  return names;
}

bool is_about_experts(const std::string& name) {
  return name.find("experts") != std::string::npos &&
         name.find("shared_expert") == std::string::npos;
}

/// The layer in "model.layers.3.mlp.experts" or "layers\.3\."; nothing where it is of all.
std::optional<std::int64_t> layer_in(const std::string& name) {
  constexpr std::string_view kLayers = "layers";
  std::size_t at = name.find(kLayers);
  if (at == std::string::npos) return {};
  at += kLayers.size();
  while (at < name.size() && (name[at] == '\\' || name[at] == '.')) ++at;
  std::int64_t layer = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + at, end, layer);
  return error == std::errc() ? std::optional(layer) : std::nullopt;
}

/// How surely targets mean experts: 2 by their name or a pattern, 1 as linear layers among others,
/// 0 not at all.
int rank_of_target(const std::string& target, std::int64_t moe_layer) {
  constexpr std::string_view kPattern = "re:";
  if (!target.starts_with(kPattern)) {
    if (target == "Linear") return 1;
    return is_about_experts(target) || target.find("MoE") != std::string::npos ||
                   target.find("Experts") != std::string::npos
               ? 2
               : 0;
  }
  try {
    const std::regex pattern(target.substr(kPattern.size()));
    for (const char* part : {"gate_proj", "gate_up_proj", "up_proj", "w1"}) {
      for (const char* of : {"mlp", "block_sparse_moe", "mixer", "feed_forward"}) {
        const std::string name =
            fmt::format("model.layers.{}.{}.experts.0.{}", moe_layer, of, part);
        if (std::regex_search(name, pattern, std::regex_constants::match_continuous)) return 2;
      }
    }
    return 0;
  } catch (const std::regex_error&) {
    return is_about_experts(target) ? 2 : 0;
  }
}

}  // namespace

bool leaves_experts_alone(const HfConfig& config, const JsonReader& quantization,
                          std::vector<std::string>& assumed) {
  std::set<std::int64_t> layers;
  for (const std::string& name : spared_names(quantization)) {
    if (!is_about_experts(name)) continue;
    const auto layer = layer_in(name);
    if (!layer) return true;
    layers.insert(*layer);
  }
  const std::vector<std::int64_t> moe = hf_layers(config).moe;
  std::erase_if(layers,
                [&](std::int64_t layer) { return std::ranges::find(moe, layer) == moe.end(); });
  if (layers.size() == moe.size()) return true;
  if (!layers.empty()) {
    assumed.push_back(
        fmt::format("experts of layers {} are not quantised, those of the other {} are: bytes of "
                    "an expert are the others'",
                    fmt::join(layers, ", "), moe.size() - layers.size()));
  }
  return false;
}

std::optional<JsonReader> scheme_of_experts(const HfConfig& config,
                                            const JsonReader& quantization) {
  const std::int64_t layer = hf_layers(config).moe.front();
  const JsonReader groups = quantization.at("config_groups");
  const std::vector<std::string> names = groups.keys();
  if (names.empty()) groups.fail("expected a group");
  std::optional<JsonReader> best;
  int rank = 0;
  for (const std::string& name : names) {
    const JsonReader group = groups.at(name);
    const auto targets = group.find("targets");
    int of_group = targets && targets->is_array() ? 0 : 1;  // nothing said: all
    if (of_group == 0) {
      for (const JsonReader& target : targets->items()) {
        of_group = std::max(of_group, rank_of_target(target.string(), layer));
      }
    }
    if (of_group == 0 || of_group < rank) continue;
    auto weights = group.find("weights");
    if (weights && weights->is_null()) weights.reset();
    const bool differ =
        weights.has_value() != best.has_value() || (weights && weights->raw() != best->raw());
    if (of_group == rank && differ) {
      groups.fail(
          "several groups cover the experts with different weights: write the tensors of "
          "an expert as in docs/configs.md");
    }
    rank = of_group;
    best = weights;
  }
  return best;
}

}  // namespace moeshift
