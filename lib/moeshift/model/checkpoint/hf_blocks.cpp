// SPDX-License-Identifier: Apache-2.0
// Lists of one dictionary per layer, as models whose layers were searched for one by one have them
// (Nemotron Puzzle's block_configs): layers with experts of their own are not read here.
#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_parts.hpp"

namespace moeshift {
namespace {

/// What a layer may say of its experts, and where the model says it of all.
struct Fact {
  HfKeys in_layer;
  HfKeys of_all;
};

std::vector<Fact> facts() {
  HfKeys width = hf_keys_of_own_width();
  width.insert(width.end(), {"expert_intermediate_dim", "expert_intermediate_size"});
  const HfKeys latent = {"moe_latent_size"};
  return {{hf_keys_of_experts(), hf_keys_of_experts()},
          {hf_keys_of_top_k(), hf_keys_of_top_k()},
          {width, hf_keys_of_own_width()},
          {latent, latent}};
}

bool is_in(const HfKeys& keys, const std::string& key) {
  return std::ranges::find(keys, key) != keys.end();
}

/// Other parts of the model, and what quantisers say: no layers of the language model.
bool is_of_others(const std::string& key) {
  static constexpr std::array<std::string_view, 8> kOthers = {
      "vision", "audio", "talker", "code", "quant", "compress", "sparsity", "draft"};
  return std::ranges::any_of(
      kOthers, [&](std::string_view word) { return key.find(word) != std::string::npos; });
}

/// {"0": {...}, "1": {...}} is a list too.
bool is_list_of_layers(const JsonReader& json) {
  if (json.is_array()) return true;
  const std::vector<std::string> keys = json.is_object() ? json.keys() : std::vector<std::string>{};
  return !keys.empty() && std::ranges::all_of(keys, [](const std::string& key) {
    return !key.empty() &&
           std::ranges::all_of(key, [](unsigned char c) { return std::isdigit(c) != 0; });
  });
}

class Blocks {
 public:
  Blocks(const HfConfig& config, std::vector<std::string>& assumed)
      : config_(config), assumed_(assumed) {}

  /// Looks for lists in `json`, at any depth.
  void search(const JsonReader& json, const std::string& name, bool in_list) {
    if (json.is_array()) {
      for (const JsonReader& item : json.items()) {
        if (item.is_object() || item.is_array()) search(item, name, true);
      }
      return;
    }
    if (!json.is_object()) return;
    in_list = in_list || is_list_of_layers(json);
    for (const auto& [key, value] : json.raw().items()) {
      if (is_of_others(key)) continue;
      if (in_list) check(json, name, key);
      if (value.is_structured()) search(json.at(key), in_list ? name : key, in_list);
    }
  }

 private:
  void check(const JsonReader& layer, const std::string& name, const std::string& key) {
    if (key.find("shared") != std::string::npos || key.find("zero") != std::string::npos) return;
    const JsonReader value = layer.at(key);
    if (value.is_null() || value.raw().is_structured()) return;
    for (const Fact& fact : facts()) {
      if (!is_in(fact.in_layer, key)) continue;
      require_same(value, name, key, fact.of_all);
      return;
    }
    if (key.find("expert") == std::string::npos || !told_.insert(key).second) return;
    assumed_.push_back(fmt::format("{} of single layers, in {}, is not read", key, name));
  }

  void require_same(const JsonReader& value, const std::string& name, const std::string& key,
                    const HfKeys& of_all) const {
    const auto own = config_.count_at(value);
    if (!own) return;  // 0: a layer without experts
    const auto all = config_.find_count(of_all);
    if (all && *all == *own) return;
    value.fail(fmt::format(
        "{} here, {} for the model: {} of single layers is not read. Where all layers with experts "
        "have the same, write that as {} of the whole config and take {} away; else their experts "
        "differ, and moeshift has no model for those",
        *own, all ? std::to_string(*all) : "nothing", key, key, name));
  }

  const HfConfig& config_;
  std::vector<std::string>& assumed_;
  std::set<std::string> told_;
};

}  // namespace

void refuse_own_blocks(const HfConfig& config, std::vector<std::string>& assumed) {
  Blocks blocks(config, assumed);
  blocks.search(config.text, "", false);
  if (&config.text.raw() == &config.top.raw()) return;
  for (const std::string& key : config.top.keys()) {
    if (is_of_others(key) || !is_list_of_layers(config.top.at(key))) continue;
    blocks.search(config.top.at(key), key, false);
  }
}

}  // namespace moeshift
