// SPDX-License-Identifier: Apache-2.0
// Which layers of a model in config.json are MoE layers: every family has its own key for it.
#include <algorithm>
#include <charconv>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/model/hf_parts.hpp"

namespace moeshift {
namespace {

using Ids = std::vector<std::int64_t>;

Ids where(std::size_t layers, const std::function<bool(std::int64_t)>& is_moe) {
  Ids ids;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(layers); ++i) {
    if (is_moe(i)) ids.push_back(i);
  }
  return ids;
}

/// A list with one item per layer.
Ids marked(const JsonReader& list, std::size_t layers,
           const std::function<bool(const JsonReader&)>& is_moe) {
  if (list.size() < layers) list.fail(fmt::format("expected {} items, one per layer", layers));
  return where(layers,
               [&](std::int64_t i) { return is_moe(list.at(static_cast<std::size_t>(i))); });
}

bool is_set(const JsonReader& item) {
  return item.is_number() ? item.whole(0, 1) == 1 : item.boolean();
}

/// Nemotron-H: a letter per layer, E for experts; or its name in a list.
std::optional<JsonReader> block_names(const HfConfig& config) {
  const auto names = config.find({"layers_block_type"});
  if (!names || !names->is_array()) return {};
  const auto items = names->items();
  const bool has_moe = std::any_of(items.begin(), items.end(), [](const JsonReader& item) {
    return item.is_string() && item.string() == "moe";
  });
  return has_moe ? names : std::nullopt;
}

HfKeys keys_of_layers() {
  return {"num_hidden_layers", "num_layers", "n_layer", "n_layers"};
}

std::size_t number_of_layers(const HfConfig& config) {
  if (const auto count = config.find_count(keys_of_layers())) {
    return static_cast<std::size_t>(*count);
  }
  if (const auto names = block_names(config)) return names->size();
  if (const auto pattern = config.find({"hybrid_override_pattern"})) {
    return pattern->string().size();
  }
  return static_cast<std::size_t>(config.count({"num_hidden_layers", "num_layers"}));
}

/// "4,5,6" (Step-3).
Ids listed_in_text(const JsonReader& text) {
  Ids ids;
  const std::string digits = text.string();
  for (const char *at = digits.data(), *end = at + digits.size(); at < end; ++at) {
    std::int64_t id = -1;
    const auto [stop, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0) text.fail("expected layer numbers, as \"4,5,6\"");
    ids.push_back(id);
    at = stop;
  }
  return ids;
}

/// Lists of layers; they win over rules.
std::optional<Ids> listed(const HfConfig& config, std::size_t layers) {
  if (const auto pattern = config.find({"hybrid_override_pattern"})) {
    const std::string letters = pattern->string();
    return where(layers, [&](std::int64_t i) {
      return static_cast<std::size_t>(i) < letters.size() &&
             letters[static_cast<std::size_t>(i)] == 'E';
    });
  }
  if (const auto names = block_names(config)) {
    return marked(*names, layers, [](const JsonReader& item) { return item.string() == "moe"; });
  }
  if (const auto types = config.find({"mlp_layer_types"})) {
    return marked(*types, layers, [](const JsonReader& item) { return item.string() == "sparse"; });
  }
  const auto flags = config.find({"moe_layer_freq", "is_moe_layer"});
  if (flags && flags->is_array()) return marked(*flags, layers, is_set);
  if (const auto ids = config.find({"moe_layers", "moe_layers_enum"})) {
    if (ids->is_string()) return listed_in_text(*ids);
    Ids numbers;
    for (const JsonReader& id : ids->items()) {
      numbers.push_back(id.whole(0, static_cast<std::int64_t>(layers) - 1));
    }
    if (!numbers.empty()) return numbers;
  }
  return {};
}

std::int64_t or_else(const HfConfig& config, std::string_view key, std::int64_t value) {
  const auto found = config.find({key});
  if (!found) return value;
  if (config.is_per_modality(*found)) return found->at(std::size_t{0}).whole(-1);
  if (found->is_array()) found->fail("expected one number");
  return found->whole(-1);
}

/// Rules by number; the families' own arithmetic.
Ids by_rule(const HfConfig& config, std::size_t layers) {
  const auto has = [&](std::string_view key) { return config.find({key}).has_value(); };
  if (has("interleave_moe_layer_step")) {  // transformers, Llama4TextConfig
    const std::int64_t step = or_else(config, "interleave_moe_layer_step", 1);
    return where(layers, [&](std::int64_t i) { return step > 0 && (i + 1) % step == 0; });
  }
  if (has("moe_layer_interval") || has("moe_layer_start_index")) {  // Ernie4_5_MoeDecoderLayer
    const std::int64_t interval =
        std::max<std::int64_t>(or_else(config, "moe_layer_interval", 1), 1);
    const std::int64_t first = or_else(config, "moe_layer_start_index", 0);
    const std::int64_t end = or_else(config, "moe_layer_end_index", -1);
    return where(layers, [&](std::int64_t i) {
      return (i + 1) % interval == 0 && i >= first && (end < 0 || i <= end);
    });
  }
  if (has("decoder_sparse_step") || has("mlp_only_layers")) {  // Qwen3MoeDecoderLayer
    const std::int64_t step = std::max<std::int64_t>(or_else(config, "decoder_sparse_step", 1), 1);
    Ids dense;
    if (const auto only = config.find({"mlp_only_layers"})) {
      for (const JsonReader& id : only->items()) dense.push_back(id.whole());
    }
    return where(layers, [&](std::int64_t i) {
      return (i + 1) % step == 0 && std::find(dense.begin(), dense.end(), i) == dense.end();
    });
  }
  if (has("expert_layer_period")) {  // JambaConfig
    const std::int64_t period =
        std::max<std::int64_t>(or_else(config, "expert_layer_period", 1), 1);
    const std::int64_t offset = or_else(config, "expert_layer_offset", 0);
    return where(layers, [&](std::int64_t i) { return i % period == offset; });
  }
  std::int64_t dense = 0;  // DeepseekV3DecoderLayer, and others that begin with dense layers
  for (const char* key : {"first_k_dense_replace", "num_dense_layers", "moe_layer_num_skipped"}) {
    dense = std::max(dense, or_else(config, key, 0));
  }
  const std::int64_t frequency = std::max<std::int64_t>(or_else(config, "moe_layer_freq", 1), 1);
  return where(layers, [&](std::int64_t i) { return i >= dense && i % frequency == 0; });
}

}  // namespace

bool hf_says_layers(const HfConfig& config) {
  return config.find_count(keys_of_layers()) || block_names(config) ||
         config.find({"hybrid_override_pattern"});
}

HfLayers hf_layers(const HfConfig& config) {
  HfLayers layers;
  layers.all = number_of_layers(config);
  const std::optional<Ids> ids = listed(config, layers.all);
  layers.moe = ids ? *ids : by_rule(config, layers.all);
  if (layers.moe.empty()) config.text.fail("expected at least one MoE layer");
  const std::int64_t drafts =
      config.find_count({"num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers"})
          .value_or(0);
  layers.mtp.resize(static_cast<std::size_t>(drafts));
  std::iota(layers.mtp.begin(), layers.mtp.end(), static_cast<std::int64_t>(layers.all));
  return layers;
}

}  // namespace moeshift
