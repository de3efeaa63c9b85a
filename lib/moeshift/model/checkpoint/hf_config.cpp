// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/checkpoint/hf_config.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/model/checkpoint/hf_parts.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kMost = 1 << 20;

/// Families whose experts have the width intermediate_size; elsewhere that is the dense layers'.
constexpr std::array<std::string_view, 22> kOneWidth = {
    "flex_olmo",  "mixtral",          "gpt_oss",    "llama4", "llama4_text", "minimax",
    "minimax_m1", "minimax_text_01",  "minimax_m2", "olmoe",  "phimoe",      "granitemoe",
    "jamba",      "granitemoehybrid", "hunyuan",    "arctic", "grok-1",      "grok",
    "aria_text",  "granitemoeshared", "jetmoe",     "xverse"};

/// Families read here so far; of others the keys are read as these use them.
constexpr std::array<std::string_view, 60> kKnown = {"deepseek",
                                                     "dbrx",
                                                     "hunyuan",
                                                     "arctic",
                                                     "grok-1",
                                                     "grok",
                                                     "deepseek_v2",
                                                     "deepseek_v3",
                                                     "deepseek_v32",
                                                     "deepseek_v4",
                                                     "glm4_moe",
                                                     "glm4_moe_lite",
                                                     "glm_moe_dsa",
                                                     "glm4v_moe_text",
                                                     "kimi_k2",
                                                     "kimi_linear",
                                                     "qwen2_moe",
                                                     "qwen3_moe",
                                                     "qwen3_next",
                                                     "qwen3_5_moe_text",
                                                     "qwen3_vl_moe_text",
                                                     "qwen3_omni_moe_text",
                                                     "gpt_oss",
                                                     "mixtral",
                                                     "llama4_text",
                                                     "minimax",
                                                     "minimax_m1",
                                                     "minimax_m2",
                                                     "minimax_text_01",
                                                     "nemotron_h",
                                                     "olmoe",
                                                     "flex_olmo",
                                                     "ernie4_5_moe",
                                                     "phimoe",
                                                     "granitemoe",
                                                     "granitemoehybrid",
                                                     "granitemoeshared",
                                                     "aria_text",
                                                     "jetmoe",
                                                     "xverse",
                                                     "jamba",
                                                     "dots1",
                                                     "bailing_moe",
                                                     "bailing_moe_v2",
                                                     "hunyuan_v1_moe",
                                                     "mimo_v2_flash",
                                                     "mimo_v2",
                                                     "longcat_flash",
                                                     "step3_text",
                                                     "step3p5",
                                                     "afmoe",
                                                     "lfm2_moe",
                                                     "exaone_moe",
                                                     "gemma4_text",
                                                     "qwen3_5_moe",
                                                     "pangu_ultra_moe",
                                                     "glm5_moe",
                                                     "hy_v3",
                                                     "ernie4_5_vl_moe_text",
                                                     "ernie4_5_moe_vl"};

bool among(std::span<const std::string_view> names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

HfConfig open(const JsonReader& config) {
  if (!config.is_object()) config.fail("expected the config.json of a Hugging Face checkpoint");
  for (const char* key : {"text_config", "language_config", "llm_config", "thinker_config"}) {
    const auto part = config.find(key);
    if (!part || !part->is_object()) continue;
    const auto inner = part->find("text_config");  // thinker_config of omni models
    return {inner && inner->is_object() ? *inner : *part, config};
  }
  // DBRX says everything of its experts in a part of its own.
  if (const auto part = config.find("ffn_config"); part && part->is_object()) {
    return {*part, config};
  }
  return {config, config};
}

HfKeys keys_of_hidden() {
  return {"hidden_size", "n_embd", "d_model"};
}

/// Under which names the width of an expert may be.
HfKeys keys_of_width(const HfConfig& config) {
  HfKeys keys = hf_keys_of_own_width();
  if (among(kOneWidth, config.family())) keys.emplace_back("intermediate_size");
  if (config.family() == "dbrx") keys.emplace_back("ffn_hidden_size");
  return keys;
}

/// @throws InputError naming everything that is missing, each by all the names it could have.
void require_keys(const HfConfig& config) {
  std::vector<std::string> missing;
  for (const HfKeys& keys :
       {hf_keys_of_experts(), hf_keys_of_top_k(), keys_of_hidden(), keys_of_width(config)}) {
    if (!config.find_count(keys)) missing.push_back(fmt::format("{}", fmt::join(keys, ", ")));
  }
  if (!hf_says_layers(config)) missing.emplace_back("num_hidden_layers, num_layers");
  if (missing.empty()) return;
  const bool dense_width =
      !config.find_count(keys_of_width(config)) && config.find_count({"intermediate_size"});
  config.text.fail(
      fmt::format("expected one of the keys {}{}", fmt::join(missing, "; and one of "),
                  dense_width ? "; where intermediate_size is the width of an expert, write it as "
                                "moe_intermediate_size too"
                              : ""));
}

/// Experts of Nemotron-H have no gate, whatever they compute (transformers, NemotronHMLP).
bool is_gated(const HfConfig& config, std::vector<std::string>& assumed) {
  const auto activation = config.find({"mlp_hidden_act"});
  const bool nemotron = config.family().starts_with("nemotron");
  if (nemotron && !activation) {
    assumed.emplace_back("mlp_hidden_act is not given: relu2, experts without a gate");
  }
  return !nemotron && (!activation || activation->string() != "relu2");
}

void tell_modalities(const HfConfig& config, std::vector<std::string>& assumed) {
  const auto experts = config.find(hf_keys_of_experts());
  const auto width = config.find(keys_of_width(config));
  const bool two =
      (experts && config.is_per_modality(*experts)) || (width && config.is_per_modality(*width));
  if (!two) return;
  assumed.emplace_back(
      "experts per modality: those of text are read, the first of each list; experts of images are "
      "a second set, which is not counted");
}

ExpertShape shape_of(const HfConfig& config, std::vector<std::string>& assumed) {
  ExpertShape shape;
  const auto latent = config.find_count({"moe_latent_size"});
  shape.hidden = latent ? *latent : config.count(keys_of_hidden());
  const bool own_width = config.find_count(hf_keys_of_own_width()).has_value();
  shape.intermediate = own_width
                           ? static_cast<std::int64_t>(config.one_count(hf_keys_of_own_width()))
                           : config.count(keys_of_width(config));
  const std::string family = config.family();
  shape.gated = is_gated(config, assumed);
  shape.fused = family == "gpt_oss" || family.rfind("llama4", 0) == 0;
  shape.bias = family == "gpt_oss";
  return shape;
}

std::size_t groups_of(const HfConfig& config) {
  const HfKeys keys = {"n_group", "num_expert_group", "num_expert_groups"};
  if (!config.find_count(keys)) return 1;
  const std::size_t groups = config.one_count(keys);
  const auto chosen = config.find_count({"topk_group"});
  if (chosen && static_cast<std::size_t>(*chosen) > groups) {
    config.find({"topk_group"})->fail(fmt::format("expected at most the {} groups", groups));
  }
  return groups;
}

void read_routing(const HfConfig& config, MoeModel& model) {
  model.num_experts = config.one_count(hf_keys_of_experts());
  model.top_k = config.one_count(hf_keys_of_top_k());
  if (model.top_k > model.num_experts) {
    config.text.fail(
        fmt::format("{} experts per token of {}: expected at most as many as there are",
                    model.top_k, model.num_experts));
  }
  model.num_expert_groups = groups_of(config);
  if (model.num_experts % model.num_expert_groups != 0) {
    config.text.fail(fmt::format("{} experts do not divide evenly into {} groups",
                                 model.num_experts, model.num_expert_groups));
  }
}

}  // namespace

HfKeys hf_keys_of_experts() {
  return {"n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts",
          "num_routed_experts"};
}

HfKeys hf_keys_of_top_k() {
  return {"num_experts_per_tok",
          "num_experts_per_token",
          "experts_per_token",
          "top_k_experts",
          "moe_k",
          "moe_topk",
          "moe_top_k"};
}

HfKeys hf_keys_of_own_width() {
  return {"moe_intermediate_size", "moe_ffn_hidden_size", "expert_ffn_hidden_size"};
}

std::optional<JsonReader> HfConfig::find(const HfKeys& keys) const {
  for (const JsonReader* part : {&text, &top}) {
    for (const std::string_view key : keys) {
      const auto found = part->find(key);
      if (!found || found->is_null()) continue;
      if (part == &text) require_same_on_top(key, *found);
      return found;
    }
  }
  return {};
}

void HfConfig::require_same_on_top(std::string_view key, const JsonReader& found) const {
  if (&text.raw() == &top.raw()) return;
  if (key == "dtype" || key == "torch_dtype") return;  // of the whole: other parts have others
  const auto other = top.find(key);
  if (!other || other->is_null() || other->raw() == found.raw()) return;
  other->fail(fmt::format("expected {}, as {} says", found.raw().dump(), found.where()));
}

std::optional<std::int64_t> HfConfig::find_count(const HfKeys& keys) const {
  const auto found = find(keys);
  return found ? count_at(*found) : std::nullopt;
}

std::optional<std::int64_t> HfConfig::count_at(const JsonReader& found) const {
  if (!found.is_array()) {
    const std::int64_t count = found.whole(0, kMost);
    return count > 0 ? std::optional(count) : std::nullopt;
  }
  if (is_per_modality(found)) return found.at(std::size_t{0}).whole(1, kMost);
  std::vector<std::int64_t> counts;
  for (const JsonReader& item : found.items()) counts.push_back(item.whole(1, kMost));
  const bool equal = !counts.empty() && std::all_of(counts.begin(), counts.end(), [&](auto count) {
    return count == counts.front();
  });
  if (!equal) found.fail("expected the same number in every layer: others are not read");
  return counts.front();
}

std::size_t HfConfig::one_count(const HfKeys& keys) const {
  const std::int64_t first = count(keys);
  for (const JsonReader* part : {&text, &top}) {
    for (const std::string_view key : keys) {
      const auto found = part->find(key);
      if (!found || found->is_null()) continue;
      const auto other = count_at(*found);
      if (!other || *other == first) continue;
      found->fail(fmt::format("expected {}, as another key for the same says ({})", first,
                              fmt::join(keys, ", ")));
    }
  }
  return static_cast<std::size_t>(first);
}

std::int64_t HfConfig::count(const HfKeys& keys) const {
  if (const auto found = find_count(keys)) return *found;
  text.fail(fmt::format("expected {} {}", keys.size() > 1 ? "one of the keys" : "the key",
                        fmt::join(keys, ", ")));
}

std::string HfConfig::family() const {
  for (const JsonReader* part : {&text, &top}) {
    const auto type = part->find("model_type");
    if (type && type->is_string() && !type->string().empty()) return type->string();
  }
  return "";
}

bool HfConfig::is_per_modality(const JsonReader& value) const {
  return value.is_array() && value.size() == 2 && family().starts_with("ernie4_5");
}

std::int64_t hf_num_experts(const HfConfig& config) {
  return config.count(hf_keys_of_experts());
}

namespace {

/// Bytes of layers that differ from the others', and those of draft layers that are not counted but
/// may be asked for: by the file made they would be taken for the others'.
void give_bytes(const HfExperts& experts, MoeModel& model) {
  const Bytes usual = model.expert_bytes();
  if (std::ranges::all_of(experts.bytes, [&](Bytes bytes) { return bytes == usual; })) return;
  IdMatrix<LayerId, ExpertId, Bytes> sizes(model.num_layers, model.num_experts);
  for (const LayerId layer : sizes.row_ids()) {
    const auto row = sizes.row(layer);
    std::fill(row.begin(), row.end(), experts.bytes[layer.index()]);
  }
  model.bytes_per_expert = ExpertSizes(std::move(sizes));
}

/// Experts that no load counts.
void read_other_experts(const HfConfig& config, MoeModel& model,
                        std::vector<std::string>& assumed) {
  if (const auto shared = config.find_count({"n_shared_experts", "num_shared_experts",
                                             "moe_num_shared_experts", "num_shared_expert"})) {
    model.num_shared_experts = static_cast<std::size_t>(*shared);
  } else if (config.find_count({"shared_expert_intermediate_size"})) {
    model.num_shared_experts = 1;  // Qwen: one, of its own width
  }
  const auto zero = config.find_count({"zero_expert_num", "num_zero_experts", "n_zero_experts"});
  if (!zero) return;
  model.num_zero_experts = static_cast<std::size_t>(*zero);
  assumed.push_back(fmt::format(
      "{} experts that compute nothing are among the {} that a token chooses from: loads of the {} "
      "others sum to less than {} per token",
      *zero, model.num_experts + model.num_zero_experts, model.num_experts, model.top_k));
}

std::string description_of(const HfConfig& config, const MoeModel& model) {
  const auto counted = [&](std::int64_t id) {
    return std::ranges::find(model.layer_ids, id) != model.layer_ids.end();
  };
  const auto left_out =
      std::ranges::count_if(model.mtp_layer_ids, [&](std::int64_t id) { return !counted(id); });
  return fmt::format(
      "{}: {} of {} layers with {} experts{}", config.family(), model.num_layers, config.layers.all,
      model.num_experts,
      left_out == 0 ? "" : fmt::format("; {} draft (MTP) layer not counted", left_out));
}

}  // namespace

HfImport import_hf_config(const JsonReader& json, const HfImportOptions& options) {
  HfConfig config = open(json);
  HfImport imported;
  std::vector<std::string>& assumed = imported.assumed;
  if (!among(kKnown, config.family())) {
    assumed.push_back(
        fmt::format("model_type '{}' is not among the families tried: its keys are read as theirs",
                    config.family()));
  }
  MoeModel& model = imported.model;
  refuse_own_blocks(config, assumed);
  require_keys(config);
  tell_modalities(config, assumed);
  read_routing(config, model);
  model.hidden_size = config.one_count(keys_of_hidden());
  config.layers = hf_layers(config, options.with_mtp, assumed);
  model.num_hidden_layers = config.layers.all;
  model.layer_ids = config.layers.counted;
  model.mtp_layer_ids = config.layers.mtp;
  model.num_layers = model.layer_ids.size();
  HfExperts experts = hf_experts(config, shape_of(config, assumed), options.beside, assumed);
  model.expert_tensors = std::move(experts.tensors);
  give_bytes(experts, model);
  read_other_experts(config, model, assumed);
  model.name = options.name;
  model.source = options.source;
  model.description = description_of(config, model);
  return imported;
}

}  // namespace moeshift
