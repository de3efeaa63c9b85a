// SPDX-License-Identifier: Apache-2.0
// Which layers of a model in config.json are MoE layers: every family has its own key for it, and
// where several are there they say the same.
#include "moeshift/model/checkpoint/hf_layers.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <functional>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace moeshift {
namespace {

using Ids = std::vector<std::int64_t>;

/// The layers of all and of those, how many drafts follow them.
struct Extent {
  std::int64_t all = 0;
  std::int64_t drafts = 0;
};

Ids where(std::int64_t layers, const std::function<bool(std::int64_t)>& is_moe) {
  Ids ids;
  for (std::int64_t i = 0; i < layers; ++i) {
    if (is_moe(i)) ids.push_back(i);
  }
  return ids;
}

/// A list with one item per layer; some have items for the draft layers too.
StatedMoeLayers marked(const std::string& key, const JsonReader& list, const Extent& extent,
                       const std::function<bool(const JsonReader&)>& is_moe) {
  const auto size = static_cast<std::int64_t>(list.size());
  const bool with_drafts = extent.drafts > 0 && size == extent.all + extent.drafts;
  if (size != extent.all && !with_drafts) {
    list.fail(fmt::format("expected {} items, one per layer{}, got {}", extent.all,
                          extent.drafts > 0 ? " (or one per draft layer too)" : "", size));
  }
  const std::vector<JsonReader> items = list.items();
  Ids ids = where(size, [&](std::int64_t i) { return is_moe(items[static_cast<std::size_t>(i)]); });
  return {key, list, std::move(ids), with_drafts};
}

bool is_set(const JsonReader& item) {
  return item.is_number() ? item.whole(0, 1) == 1 : item.boolean();
}

/// "moe" among "mamba", "attention", "mlp".
bool is_moe_block(const JsonReader& item) {
  const std::string name = item.string();
  if (name == "moe") return true;
  if (name.find("moe") != std::string::npos || name.find("expert") != std::string::npos) {
    item.fail(fmt::format("block '{}' is not known: is it a layer with experts (moe)?", name));
  }
  return false;
}

/// Nemotron-H: the name of every layer's block.
std::optional<JsonReader> block_names(const HfConfig& config) {
  const auto names = config.find({"layers_block_type"});
  if (!names || !names->is_array()) return {};
  const auto items = names->items();
  const bool has_moe = std::any_of(items.begin(), items.end(), [](const JsonReader& item) {
    return item.is_string() && is_moe_block(item);
  });
  return has_moe ? names : std::nullopt;
}

HfKeys keys_of_layers(const HfConfig& config) {
  // LongcatFlashConfig counts two attention layers per MoE layer as hidden layers.
  if (config.family().starts_with("longcat") && config.find_count({"num_layers"})) {
    return {"num_layers"};
  }
  return {"num_hidden_layers", "num_layers", "n_layer", "n_layers"};
}

HfKeys keys_of_drafts() {
  return {"num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers"};
}

std::int64_t number_of_layers(const HfConfig& config) {
  if (config.find_count(keys_of_layers(config))) {
    return static_cast<std::int64_t>(config.one_count(keys_of_layers(config)));
  }
  if (const auto names = block_names(config)) return static_cast<std::int64_t>(names->size());
  if (const auto pattern = config.find({"hybrid_override_pattern"})) {
    return static_cast<std::int64_t>(pattern->string().size());
  }
  return config.count({"num_hidden_layers", "num_layers"});
}

/// Nemotron-H (NemotronHConfig): a letter per layer, E for experts.
StatedMoeLayers by_letters(const JsonReader& pattern, std::int64_t layers) {
  const std::string letters = pattern.string();
  if (static_cast<std::int64_t>(letters.size()) != layers) {
    pattern.fail(fmt::format("expected {} letters, one per layer, got {}", layers, letters.size()));
  }
  return {"hybrid_override_pattern", pattern, layers_of_pattern(pattern)};
}

/// "4,5,6" (Step-3).
Ids numbers_in_text(const JsonReader& text) {
  const std::string digits = text.string();
  Ids ids;
  const char* const end = digits.data() + digits.size();
  const auto skip = [end](const char* at) {
    return std::find_if(at, end, [](unsigned char c) { return std::isspace(c) == 0; });
  };
  for (const char* at = skip(digits.data()); at < end; at = skip(at)) {
    std::int64_t id = -1;
    const auto [stop, error] = std::from_chars(at, end, id);
    at = skip(stop);
    const bool more = at < end && *at == ',';
    if (error != std::errc() || id < 0 || (at < end && !more)) {
      text.fail("expected layer numbers, as \"4,5,6\"");
    }
    if (more) ++at;
    ids.push_back(id);
  }
  return ids;
}

/// A list of layers' numbers, in any order; draft layers may be among them.
std::optional<StatedMoeLayers> numbered(const HfConfig& config, const std::string& key,
                                        const Extent& extent) {
  const auto list = config.find({key});
  if (!list || (!list->is_array() && !list->is_string())) return {};
  Ids ids;
  if (list->is_string()) {
    ids = numbers_in_text(*list);
  } else {
    for (const JsonReader& id : list->items()) ids.push_back(id.whole(0, 1 << 20));
  }
  if (ids.empty()) return {};
  std::ranges::sort(ids);
  if (const auto twice = std::ranges::adjacent_find(ids); twice != ids.end()) {
    list->fail(fmt::format("layer {} is named twice", *twice));
  }
  const std::int64_t end = extent.all + extent.drafts;
  if (ids.back() >= end) list->fail(fmt::format("layer {} of {}", ids.back(), end));
  return StatedMoeLayers{key, *list, std::move(ids), extent.drafts > 0};
}

/// One item or one number per layer.
std::vector<StatedMoeLayers> listed(const HfConfig& config, const Extent& extent) {
  std::vector<StatedMoeLayers> all;
  if (const auto pattern = config.find({"hybrid_override_pattern"})) {
    all.push_back(by_letters(*pattern, extent.all));
  }
  if (const auto names = block_names(config)) {
    all.push_back(marked("layers_block_type", *names, extent, is_moe_block));
  }
  if (const auto types = config.find({"mlp_layer_types"})) {
    all.push_back(marked("mlp_layer_types", *types, extent, [](const JsonReader& item) {
      const std::string type = item.string();
      if (type == "sparse" || type == "moe") return true;
      if (type == "dense") return false;
      item.fail(fmt::format("type '{}' is not known (sparse, moe, dense are)", type));
    }));
  }
  for (const char* key : {"moe_layer_freq", "is_moe_layer"}) {
    const auto flags = config.find({key});
    if (flags && flags->is_array()) all.push_back(marked(key, *flags, extent, is_set));
  }
  for (const char* key : {"moe_layers", "moe_layers_enum"}) {
    if (auto ids = numbered(config, key, extent)) all.push_back(std::move(*ids));
  }
  return all;
}

void require_same(const HfConfig& config, const std::vector<StatedMoeLayers>& stated,
                  std::int64_t layers) {
  for (std::size_t other = 1; other < stated.size(); ++other) {
    for (std::int64_t i = 0; i < layers; ++i) {
      const bool first = std::ranges::binary_search(stated.front().ids, i);
      if (first == std::ranges::binary_search(stated[other].ids, i)) continue;
      config.text.fail(fmt::format(
          "{} says that layer {} has {}experts, {} the opposite: leave out what is wrong",
          stated.front().key, i, first ? "" : "no ", stated[other].key));
    }
  }
}

/// A list that is longer than there are layers is told, although it fits.
void tell_items_of_drafts(const std::vector<StatedMoeLayers>& stated,
                          std::vector<std::string>& assumed) {
  for (const StatedMoeLayers& list : stated) {
    const bool by_item = list.key != "moe_layers" && list.key != "moe_layers_enum";
    if (!list.of_drafts || !by_item) continue;
    assumed.push_back(
        fmt::format("{} has {} items: those after the hidden layers' are taken for "
                    "draft (MTP) layers",
                    list.key, list.at.size()));
  }
}

}  // namespace

std::vector<std::int64_t> layers_of_pattern(const JsonReader& pattern) {
  Ids ids;
  const std::string letters = pattern.string();
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if (letters[i] == 'E') ids.push_back(static_cast<std::int64_t>(i));
    if (std::string_view("M*-E").find(letters[i]) == std::string_view::npos) {
      pattern.fail(fmt::format("letter '{}' of layer {} is not known (M, *, - and E are)",
                               letters.substr(i, 1), i));
    }
  }
  return ids;
}

bool hf_says_layers(const HfConfig& config) {
  return config.find_count(keys_of_layers(config)) || block_names(config) ||
         config.find({"hybrid_override_pattern"});
}

HfLayers hf_layers(const HfConfig& config, bool with_drafts, std::vector<std::string>& assumed) {
  HfLayers layers;
  const Extent extent{number_of_layers(config),
                      config.find_count(keys_of_drafts())
                          ? static_cast<std::int64_t>(config.one_count(keys_of_drafts()))
                          : 0};
  layers.all = static_cast<std::size_t>(extent.all);
  std::vector<StatedMoeLayers> stated = listed(config, extent);
  const auto rules = moe_layer_rules(config, extent.all);
  stated.insert(stated.end(), rules.begin(), rules.end());
  require_same(config, stated, extent.all);
  tell_items_of_drafts(stated, assumed);
  tell_unread_layer_keys(config, assumed);
  const auto every = [](std::int64_t) { return true; };
  const Ids ids = stated.empty() ? where(extent.all, every) : stated.front().ids;
  for (const std::int64_t id : ids) {
    if (id < extent.all) layers.moe.push_back(id);
  }
  if (layers.moe.empty()) config.text.fail("expected at least one MoE layer");
  layers.mtp = draft_layers(config, stated, {extent.all, extent.drafts, with_drafts}, assumed);
  layers.with_drafts = layers.moe;
  layers.with_drafts.insert(layers.with_drafts.end(), layers.mtp.begin(), layers.mtp.end());
  layers.counted = with_drafts ? layers.with_drafts : layers.moe;
  return layers;
}

}  // namespace moeshift
