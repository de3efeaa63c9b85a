// SPDX-License-Identifier: Apache-2.0
// Draft (multi-token prediction) layers: which there are, and which of them have experts.
#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_layers.hpp"

namespace moeshift {
namespace {

using Ids = std::vector<std::int64_t>;

/// Draft layers of a family in the engines' classes.
enum class Drafts { kDense, kExperts, kAsListed, kPattern, kUnknown };

/// vLLM: ernie_mtp.py (LlamaDecoderLayer), mimo_v2_mtp.py (MiMoV2MLP), longcat_flash_mtp.py
/// (n_routed_experts = None), exaone_moe.py (is_mtp: a dense MLP); step3p5_mtp.py asks
/// moe_layers_enum. The others take the decoder layer that the model ends with.
Drafts drafts_of(const std::string& family) {
  static constexpr std::array<std::string_view, 5> kDense = {"ernie4_5", "mimo", "longcat",
                                                             "exaone_moe", "exaone4_5"};
  static constexpr std::array<std::string_view, 9> kExperts = {
      "deepseek", "glm", "kimi", "qwen3", "pangu", "hy_v3", "bailing", "dots", "minimax_m3"};
  const auto begins = [&](std::string_view name) { return family.starts_with(name); };
  if (std::ranges::any_of(kDense, begins)) return Drafts::kDense;
  if (family.starts_with("step3")) return Drafts::kAsListed;
  if (family.starts_with("nemotron")) return Drafts::kPattern;
  if (std::ranges::any_of(kExperts, begins)) return Drafts::kExperts;
  return Drafts::kUnknown;
}

Ids counted_up(std::int64_t first, std::int64_t count) {
  Ids ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

/// What a list that has items for draft layers says of them.
std::optional<Ids> as_listed(const std::vector<StatedMoeLayers>& stated, std::int64_t layers) {
  const auto found = std::ranges::find_if(stated, &StatedMoeLayers::of_drafts);
  if (found == stated.end()) return {};
  Ids ids;
  std::ranges::copy_if(found->ids, std::back_inserter(ids),
                       [&](std::int64_t id) { return id >= layers; });
  return ids;
}

/// Nemotron-H (vLLM, nemotron_h_mtp.py): a draft is several blocks, each with a number.
std::optional<Ids> as_pattern(const HfConfig& config, const DraftQuestion& question) {
  Ids places;
  std::int64_t length = 0;
  if (const auto pattern = config.find({"mtp_hybrid_override_pattern"})) {
    places = layers_of_pattern(*pattern);
    length = static_cast<std::int64_t>(pattern->string().size());
  } else if (const auto names = config.find({"mtp_layers_block_type"})) {
    for (const JsonReader& name : names->items()) {
      if (name.string() == "moe") places.push_back(length);
      ++length;
    }
  } else {
    return {};
  }
  Ids ids;
  for (std::int64_t draft = 0; draft < question.drafts; ++draft) {
    for (const std::int64_t place : places) {
      ids.push_back(question.layers + draft * length + place);
    }
  }
  return ids;
}

/// The file made must be readable: read_moe_model() takes no draft layers further away.
void require_near(const HfConfig& config, const Ids& ids, std::int64_t layers) {
  const auto most = 8 + 2 * static_cast<std::int64_t>(ids.size());
  if (ids.empty() || ids.back() < layers + most) return;
  config.text.fail(fmt::format("draft (MTP) layer {} of a model of {} layers: expected fewer",
                               ids.back(), layers));
}

/// Keys that seem to name draft layers under another name.
Ids::size_type tell_unread(const HfConfig& config, std::vector<std::string>& assumed) {
  std::vector<std::string> keys;
  for (const std::string& key : config.text.keys()) {
    const auto& value = config.text.at(key).raw();
    const bool some = (value.is_number_integer() && value.get<std::int64_t>() > 0) ||
                      (value.is_boolean() && value.get<bool>());
    const bool named = key.find("mtp") != std::string::npos ||
                       key.find("nextn") != std::string::npos ||
                       key.find("n_predict") != std::string::npos;
    if (some && named) keys.push_back(key);
  }
  if (!keys.empty()) {
    assumed.push_back(fmt::format(
        "{} may name draft (MTP) layers and {} not read: none is counted; where they have experts, "
        "add them to layer_ids, num_layers and mtp_layer_ids of the file made",
        fmt::join(keys, ", "), keys.size() == 1 ? "is" : "are"));
  }
  return keys.size();
}

void tell_none(const HfConfig& config, std::vector<std::string>& assumed) {
  if (tell_unread(config, assumed) > 0) return;
  assumed.emplace_back(
      "config.json names no draft (MTP) layers (num_nextn_predict_layers, mtp_num_hidden_layers, "
      "num_mtp_layers): none is counted, whatever the checkpoint has");
}

}  // namespace

std::vector<std::int64_t> draft_layers(const HfConfig& config,
                                       const std::vector<StatedMoeLayers>& stated,
                                       const DraftQuestion& question,
                                       std::vector<std::string>& assumed) {
  if (question.drafts == 0) {
    if (question.asked) tell_none(config, assumed);
    return {};
  }
  const Drafts kind = drafts_of(config.family());
  const Ids all = counted_up(question.layers, question.drafts);
  std::optional<Ids> with_experts;
  if (kind == Drafts::kDense) with_experts = Ids{};
  if (kind == Drafts::kExperts) with_experts = as_listed(stated, question.layers).value_or(all);
  if (kind == Drafts::kPattern) with_experts = as_pattern(config, question);
  if (!with_experts) with_experts = as_listed(stated, question.layers);
  if (!with_experts) {
    if (question.asked) {
      assumed.push_back(fmt::format(
          "whether draft (MTP) layers {} have experts is not known of model_type '{}': they are "
          "taken to have",
          fmt::join(all, ", "), config.family()));
    }
    return all;
  }
  require_near(config, *with_experts, question.layers);
  if (with_experts->empty() && question.asked) {
    assumed.push_back(
        fmt::format("draft (MTP) layers {} are dense, without experts: they are not counted",
                    fmt::join(all, ", ")));
  }
  return *with_experts;
}

}  // namespace moeshift
