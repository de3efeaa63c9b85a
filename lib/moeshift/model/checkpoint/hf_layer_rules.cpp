// SPDX-License-Identifier: Apache-2.0
// Layers with experts by rule: "every second one", "all but the first three".
#include <algorithm>
#include <array>
#include <cctype>
#include <functional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_layers.hpp"

namespace moeshift {
namespace {

using Ids = std::vector<std::int64_t>;

std::optional<JsonReader> number_at(const HfConfig& config, std::string_view key) {
  const auto found = config.find({key});
  if (!found) return {};
  if (config.is_per_modality(*found)) return found->at(std::size_t{0});
  return found;
}

/// Every how many layers: at least 1.
std::int64_t step_of(const HfConfig& config, std::string_view key) {
  const auto found = number_at(config, key);
  return found ? found->whole(1) : 1;
}

std::int64_t number_of(const HfConfig& config, std::string_view key) {
  const auto found = number_at(config, key);
  return found ? found->whole() : 0;
}

/// One family's rules.
struct Rule {
  HfKeys read;
  std::function<bool(std::int64_t)> is_moe;
};

/// transformers, Llama4TextConfig.
Rule of_llama(const HfConfig& config) {
  const std::int64_t step = step_of(config, "interleave_moe_layer_step");
  return {{"interleave_moe_layer_step"}, [=](std::int64_t i) { return (i + 1) % step == 0; }};
}

/// Ernie4_5_MoeDecoderLayer; an end of -1 is the last layer.
Rule of_ernie(const HfConfig& config) {
  const std::int64_t interval = step_of(config, "moe_layer_interval");
  const std::int64_t first = number_of(config, "moe_layer_start_index");
  const auto last = number_at(config, "moe_layer_end_index");
  const std::int64_t end = last ? last->whole(-1) : -1;
  return {{"moe_layer_start_index", "moe_layer_end_index", "moe_layer_interval"},
          [=](std::int64_t i) {
            return (i + 1) % interval == 0 && i >= first && (end < 0 || i <= end);
          }};
}

/// Qwen3MoeDecoderLayer.
Rule of_qwen(const HfConfig& config, std::int64_t layers) {
  const std::int64_t step = step_of(config, "decoder_sparse_step");
  Ids dense;
  if (const auto only = config.find({"mlp_only_layers"})) {
    for (const JsonReader& id : only->items()) dense.push_back(id.whole(0, layers - 1));
  }
  return {{"decoder_sparse_step", "mlp_only_layers"}, [=](std::int64_t i) {
            return (i + 1) % step == 0 && std::ranges::find(dense, i) == dense.end();
          }};
}

/// JambaConfig.
Rule of_jamba(const HfConfig& config) {
  const std::int64_t period = step_of(config, "expert_layer_period");
  const std::int64_t offset = number_of(config, "expert_layer_offset");
  return {{"expert_layer_period", "expert_layer_offset"},
          [=](std::int64_t i) { return i % period == offset; }};
}

/// vLLM, ArcticMoE.
Rule of_arctic(const HfConfig& config) {
  const std::int64_t step = step_of(config, "moe_layer_frequency");
  return {{"moe_layer_frequency"}, [=](std::int64_t i) { return (i + 1) % step == 0; }};
}

/// DeepseekV3DecoderLayer, and others that begin with dense layers.
Rule of_deepseek(const HfConfig& config) {
  const HfKeys firsts = {"first_k_dense_replace", "num_dense_layers", "moe_layer_num_skipped"};
  std::int64_t dense = 0;
  for (const std::string_view key : firsts) {
    const std::int64_t other = number_of(config, key);
    if (other > 0 && dense > 0 && other != dense) {
      config.find({key})->fail(fmt::format("expected {}, as another key for the same says ({})",
                                           dense, fmt::join(firsts, ", ")));
    }
    dense = std::max(dense, other);
  }
  const auto frequency = config.find({"moe_layer_freq"});
  const bool by_number = frequency && !frequency->is_array();
  const std::int64_t step = by_number ? step_of(config, "moe_layer_freq") : 1;
  return {{"first_k_dense_replace", "num_dense_layers", "moe_layer_num_skipped", "moe_layer_freq"},
          [=](std::int64_t i) { return i >= dense && i % step == 0; }};
}

/// A key that is read, here or by hf_layers.cpp.
bool is_read(const std::string& key) {
  static constexpr std::array<std::string_view, 21> kRead = {"interleave_moe_layer_step",
                                                             "moe_layer_start_index",
                                                             "moe_layer_end_index",
                                                             "moe_layer_interval",
                                                             "decoder_sparse_step",
                                                             "mlp_only_layers",
                                                             "expert_layer_period",
                                                             "expert_layer_offset",
                                                             "moe_layer_frequency",
                                                             "first_k_dense_replace",
                                                             "num_dense_layers",
                                                             "moe_layer_num_skipped",
                                                             "moe_layer_freq",
                                                             "mlp_layer_types",
                                                             "is_moe_layer",
                                                             "moe_layers",
                                                             "moe_layers_enum",
                                                             "layers_block_type",
                                                             "mtp_layers_block_type",
                                                             "hybrid_override_pattern",
                                                             "mtp_hybrid_override_pattern"};
  return std::ranges::find(kRead, key) != kRead.end();
}

bool has_any(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(
      words, [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

/// A number, a list or a text that is more than a default.
bool says_something(const JsonReader& value) {
  if (value.is_array()) return value.size() > 0;
  if (value.is_string()) return !value.string().empty();
  return value.raw().is_number_integer() && value.raw().get<std::int64_t>() > 1;
}

}  // namespace

std::vector<StatedMoeLayers> moe_layer_rules(const HfConfig& config, std::int64_t layers) {
  std::vector<StatedMoeLayers> stated;
  for (const Rule& rule : {of_llama(config), of_ernie(config), of_qwen(config, layers),
                           of_jamba(config), of_arctic(config), of_deepseek(config)}) {
    HfKeys there = rule.read;
    std::erase_if(there, [&](std::string_view key) { return !config.find({key}); });
    if (there.empty()) continue;
    StatedMoeLayers of_rule{fmt::format("{}", fmt::join(there, ", ")), config.text, {}};
    for (std::int64_t i = 0; i < layers; ++i) {
      if (rule.is_moe(i)) of_rule.ids.push_back(i);
    }
    if (of_rule.ids.size() < static_cast<std::size_t>(layers)) stated.push_back(of_rule);
  }
  return stated;
}

void tell_unread_layer_keys(const HfConfig& config, std::vector<std::string>& assumed) {
  std::vector<std::string> unread;
  for (const std::string& key : config.text.keys()) {
    std::string name = key;
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    const bool about_experts = has_any(name, {"moe", "expert", "dense", "mlp", "ffn", "sparse"});
    const bool about_layers = has_any(
        name, {"layer", "block_type", "freq", "interval", "every", "period", "pattern",
               "sparse_step", "replace", "skip", "indices", "_start", "_end", "interleave"});
    if (!about_experts || !about_layers || is_read(name)) continue;
    if (says_something(config.text.at(key))) unread.push_back(key);
  }
  if (unread.empty()) return;
  assumed.push_back(fmt::format(
      "{} may say which layers have experts, and {} not read: compare the layers below with the "
      "model",
      fmt::join(unread, ", "), unread.size() == 1 ? "is" : "are"));
}

}  // namespace moeshift
