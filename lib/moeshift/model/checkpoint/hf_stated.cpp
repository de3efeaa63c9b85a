// SPDX-License-Identifier: Apache-2.0
// Where a checkpoint says how it is quantised: config.json, or a file beside it.
#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_layouts.hpp"

namespace moeshift {
namespace {

std::string small_letters(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool is_empty(const JsonReader& json) {
  return json.is_null() || (json.is_object() && json.keys().empty());
}

/// ModelOpt's older form has all of it in a member of its own (vLLM, ModelOptQuantConfigBase).
JsonReader inner(const JsonReader& json) {
  const auto part = json.find("quantization");
  return part && part->is_object() ? *part : json;
}

/// The quantiser, by its name or, where it gives none, by the keys that only it writes.
std::string method_of(const JsonReader& json) {
  const std::string method = small_letters(hf_text(json, "quant_method"));
  if (method == "auto_awq" || method == "awq_marlin") return "awq";
  if (method == "auto_gptq" || method == "gptq_marlin") return "gptq";
  if (method == "compressed_tensors") return "compressed-tensors";
  if (method == "auto_round" || method == "intel/auto-round") return "auto-round";
  if (!method.empty()) return method;
  // SGLang, ModelConfig._parse_quant_hf_config.
  if (inner(json).has("quant_algo")) return "modelopt";
  if (json.has("w_bit") || json.has("q_group_size")) return "awq";
  if (json.has("bits") && (json.has("desc_act") || json.has("sym"))) return "gptq";
  return json.has("bits") && json.has("zero_point") ? "awq" : "";
}

HfQuantization stated(const std::string& name, const JsonReader& json, bool beside) {
  HfQuantization quantization{name, json, method_of(json), beside};
  if (quantization.method.starts_with("modelopt")) quantization.json = inner(json);
  return quantization;
}

/// Of MindIE: one word. "float" says that weights are as they were trained.
std::optional<HfQuantization> mindie_key(const HfConfig& config) {
  for (const char* key : {"moe_quantize", "quantize"}) {
    const auto type = config.find({key});
    if (!type) continue;
    const std::string word = small_letters(type->string());
    if (word.empty() || word == "float") return {};
    return HfQuantization{fmt::format("\"{}\"", key), *type, "mindie", false};
  }
  return {};
}

/// One part's; the first two names are those that engines read, the others say that weights are not
/// as they were trained.
std::optional<HfQuantization> in_part(const JsonReader& part) {
  std::optional<HfQuantization> found;
  for (const char* key : {"quantization_config", "compression_config", "quantization",
                          "quant_config", "quantize_config"}) {
    const auto json = part.find(key);
    if (!json || is_empty(*json)) continue;
    if (!json->is_object()) json->fail("expected an object that says how weights are quantised");
    HfQuantization other = stated(key, *json, false);
    if (found && other.json.raw() != found->json.raw()) {
      json->fail(fmt::format("differs from {}: take away what is wrong", found->json.where()));
    }
    if (!found) found = std::move(other);
  }
  return found;
}

/// Whose a text part's own gives way to, as a tool leaves it behind that quantises anew: that of
/// the whole, else hf_quant_config.json (vLLM, get_config and get_quant_config). "" for none.
std::string read_before_text(const std::optional<HfQuantization>& top,
                             const std::vector<HfQuantization>& files) {
  constexpr const char* kKey = "quantization_config";
  constexpr const char* kFile = "hf_quant_config.json";
  if (top) return top->name == kKey ? kKey : "";
  const bool file = std::ranges::any_of(files, [&](const auto& f) { return f.name == kFile; });
  return file ? kFile : "";
}

/// Some keep it in the text part, some on top.
std::optional<HfQuantization> in_config(const HfConfig& config,
                                        const std::vector<HfQuantization>& files,
                                        std::vector<std::string>& assumed) {
  auto top = in_part(config.top);
  if (&config.text.raw() == &config.top.raw()) return top;
  auto text = in_part(config.text);
  if (!text) return top;
  if (top && top->json.raw() == text->json.raw()) return text;
  const std::string before = read_before_text(top, files);
  if (before.empty()) {
    if (!top) return text;
    top->json.fail(fmt::format("differs from {}: take away what is wrong", text->json.where()));
  }
  assumed.push_back(fmt::format("{} ({}) is not read: {} {} is, as engines do",
                                text->json.where().substr(text->json.where().find('#')),
                                text->method, before, top ? "of the whole" : "beside config.json"));
  return top;
}

/// MindIE's list of all tensors wins over what config.json says (SGLang, ModelConfig.
/// _find_quant_modelslim_config).
bool is_ascend_list(std::string_view file) {
  return file.starts_with("quant_model_description") && file.ends_with(".json");
}

/// Nothing where the file says that weights are not quantised.
std::optional<HfQuantization> in_file(const HfBeside& beside) {
  if (!beside.json.is_object()) beside.json.fail("expected an object");
  if (is_ascend_list(beside.file)) {
    return HfQuantization{beside.file, beside.json, "ascend", true};
  }
  HfQuantization quantization = stated(beside.file, beside.json, true);
  if (quantization.method == "modelopt") {
    const auto algorithm = quantization.json.find("quant_algo");
    if (!algorithm || algorithm->is_null()) return {};  // of the cache of keys and values alone
  }
  return quantization;
}

/// What config.json only hints at is written out in a file beside it.
bool is_hint_of(const HfConfig& config, const HfQuantization& own, const HfQuantization& file) {
  if (own.method == "ascend") {
    return file.method == "ascend" && ascend_types(config, own.json).empty();
  }
  const auto layers = own.json.find("quantized_layers");
  return own.method.starts_with("modelopt") && file.method.starts_with("modelopt") &&
         small_letters(hf_text(own.json, "quant_algo")) == "mixed_precision" &&
         small_letters(hf_text(file.json, "quant_algo")) == "mixed_precision" &&
         (!layers || is_empty(*layers));
}

}  // namespace

bool is_beside_config(std::string_view file) {
  static constexpr std::array<std::string_view, 4> kNames = {
      "hf_quant_config.json", "quantize_config.json", "quant_config.json",
      "quantization_config.json"};
  return is_ascend_list(file) || std::ranges::find(kNames, file) != kNames.end();
}

std::vector<HfQuantization> hf_quantizations(const HfConfig& config,
                                             const std::vector<HfBeside>& beside,
                                             std::vector<std::string>& assumed) {
  std::vector<HfQuantization> files;
  for (const HfBeside& file : beside) {
    if (const auto quantization = in_file(file)) files.push_back(*quantization);
  }
  std::ranges::stable_partition(files, [](const auto& file) { return file.method == "ascend"; });
  std::vector<HfQuantization> all;
  if (const auto word = mindie_key(config)) all.push_back(*word);
  const auto own = in_config(config, files, assumed);
  const bool hint = own && std::ranges::any_of(files, [&](const auto& file) {
                      return is_hint_of(config, *own, file);
                    });
  if (own && !hint) all.push_back(*own);
  all.insert(all.end(), files.begin(), files.end());
  return all;
}

}  // namespace moeshift
