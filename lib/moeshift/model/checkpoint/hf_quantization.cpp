// SPDX-License-Identifier: Apache-2.0
// Which layout a checkpoint's quantisation gives to experts.
#include <algorithm>
#include <functional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_layouts.hpp"

namespace moeshift {
namespace {

/// Weights that share a scale; 0: all of a row, which some write as -1.
std::int64_t group_of(const JsonReader& json) {
  return std::max<std::int64_t>(hf_number(json, "group_size", 128), 0);
}

/// GPTQ and AWQ pack whole words: 2, 3, 5 to 7 bits do not take what the name says.
std::int64_t bits_of(const JsonReader& json, std::int64_t bits) {
  if (bits == 4 || bits == 8) return bits;
  json.fail(fmt::format("{} bits are not known (4 and 8 are): {}", bits, kWriteTensors));
}

/// One number that quantisers write under several names.
std::optional<std::int64_t> number_under(const JsonReader& json, const HfKeys& keys) {
  std::optional<std::int64_t> number;
  for (const std::string_view key : keys) {
    const auto found = json.find(key);
    if (!found || found->is_null()) continue;
    const std::int64_t other = found->whole(-1, 1 << 20);
    if (number && *number != other) {
      found->fail(fmt::format("expected {}, as another key for the same says ({})", *number,
                              fmt::join(keys, ", ")));
    }
    number = other;
  }
  return number;
}

std::int64_t need(const JsonReader& json, const HfKeys& keys) {
  if (const auto number = number_under(json, keys)) return *number;
  json.fail(fmt::format("expected {} {}, which engines ask for too",
                        keys.size() > 1 ? "one of the keys" : "the key", fmt::join(keys, ", ")));
}

std::int64_t group_under(const JsonReader& json, const HfKeys& keys,
                         std::vector<std::string>& assumed) {
  if (const auto number = number_under(json, keys)) return *number;
  assumed.push_back(fmt::format("{} is not given: groups of 128", keys.back()));
  return 128;
}

/// The dtype of experts where they have one of their own (DeepSeek-V4).
Layout fp8(const HfConfig& config, const JsonReader& quantization) {
  if (const auto experts = config.find({"expert_dtype"})) {
    const std::string dtype = experts->string();
    if (dtype == "fp4") return mxfp4();  // e8m0 per 32 values
    if (!dtype.starts_with("fp8") && !dtype.starts_with("float8")) {
      experts->fail(
          fmt::format("'{}' is not known beside fp8 (fp4 and fp8 are): {}", dtype, kWriteTensors));
    }
  }
  const auto block = quantization.find("weight_block_size");
  if (!block || block->is_null()) return scaled("fp8_e4m3", 0, 0, "weight_scale", "fp32");
  return scaled("fp8_e4m3", block->at(std::size_t{0}).whole(1), block->at(std::size_t{1}).whole(1),
                "weight_scale_inv", "fp32");
}

/// AutoAWQ (vLLM, AWQConfig.from_config).
Layout awq(const JsonReader& quantization, std::vector<std::string>& assumed) {
  const std::int64_t bits = bits_of(quantization, need(quantization, {"w_bit", "bits"}));
  const std::int64_t group = group_under(quantization, {"q_group_size", "group_size"}, assumed);
  return grouped_integers(bits, group, hf_flag(quantization, "zero_point", true), false);
}

/// The value of the first pattern in `patterns` that covers the experts; nothing where none does.
/// @throws InputError where another one does in another layer.
std::optional<JsonReader> override_of(const HfConfig& config, const JsonReader& patterns,
                                      const std::string& projection,
                                      const std::function<ModulePattern(std::string)>& read) {
  std::vector<std::pair<ModulePattern, std::string>> modules;
  for (const std::string& key : patterns.keys()) {
    if (!key.starts_with("-:")) modules.emplace_back(read(key), key);
  }
  ExpertNames names(config);
  const auto of_layer = [&](std::int64_t layer) {
    const auto found = std::ranges::find_if(
        modules, [&](const auto& module) { return module.first.covers(names, layer, projection); });
    return found == modules.end() ? std::string() : found->second;
  };
  const std::vector<std::int64_t>& moe = config.layers.counted;
  const std::string first = of_layer(moe.front());
  const bool apart = std::ranges::any_of(
      modules, [](const auto& module) { return module.first.tells_layers_apart(); });
  const auto value = [&](const std::string& key) {
    return key.empty() ? nlohmann::ordered_json() : patterns.at(key).raw();
  };
  for (const std::int64_t layer : moe) {
    const std::string other = apart ? of_layer(layer) : first;
    if (other == first || value(other) == value(first)) continue;
    patterns.fail(
        fmt::format("{} of experts is quantised otherwise in layer {} than in layer {}: "
                    "{}",
                    projection, layer, moe.front(), kWriteTensors));
  }
  return first.empty() ? std::nullopt : std::optional(patterns.at(first));
}

/// The settings of experts, or else of all modules (vLLM, QuarkConfig._find_matched_config).
JsonReader quark_settings(const HfConfig& config, const JsonReader& quantization,
                          const std::string& projection) {
  const auto layers = quantization.find("layer_quant_config");
  if (layers && layers->is_object()) {
    const auto own = override_of(config, *layers, projection,
                                 [](std::string key) { return ModulePattern(std::move(key)); });
    if (own) return *own;
  }
  return quantization.at("global_quant_config");
}

}  // namespace

Layout quark(const HfConfig& config, const JsonReader& quantization, const std::string& projection,
             std::vector<std::string>& assumed) {
  const JsonReader settings = quark_settings(config, quantization, projection);
  const auto weight = settings.find("weight");
  if (!weight || weight->is_null()) return plain(weight_dtype(config, assumed));
  if (!weight->is_object()) {
    weight->fail(fmt::format("expected one object: weights quantised twice are not known; {}",
                             kWriteTensors));
  }
  const std::string dtype = hf_text(*weight, "dtype");
  const std::string scheme = hf_text(*weight, "qscheme");
  if (dtype == "fp4") return mxfp4();
  if (dtype != "fp8_e4m3" && dtype != "int8") {
    weight->fail(
        fmt::format("dtype '{}' is not known (fp4, fp8_e4m3, int8 are): {}", dtype, kWriteTensors));
  }
  if (scheme == "per_group") {
    const std::int64_t group = weight->at("group_size").whole(1, 1 << 20);
    return scaled(dtype, 1, group, "weight_scale", "fp32");
  }
  return scaled(dtype, scheme == "per_channel" ? 1 : 0, 0, "weight_scale", "fp32");
}

/// GPTQ, with what GPTQModel's patterns say of experts.
Layout gptq(const HfConfig& config, const JsonReader& quantization, const std::string& projection,
            std::vector<std::string>& assumed) {
  std::int64_t bits = need(quantization, {"bits", "w_bit"});
  std::int64_t group = group_under(quantization, {"q_group_size", "group_size"}, assumed);
  bool order = hf_flag(quantization, "desc_act", false);
  const auto dynamic = quantization.find("dynamic");
  if (dynamic && dynamic->is_object()) {
    const auto own = override_of(config, *dynamic, projection, [](const std::string& key) {
      return ModulePattern::regex(key.starts_with("+:") ? key.substr(2) : key);
    });
    if (own) {
      bits = hf_number(*own, "bits", bits);
      group = hf_number(*own, "group_size", group);
      order = hf_flag(*own, "desc_act", order);
    }
  }
  return grouped_integers(bits_of(quantization, bits), group, true, order);
}

Layout quantized_layout(const HfConfig& config, const HfQuantization& quantization,
                        const std::string& projection, std::vector<std::string>& assumed) {
  const JsonReader& json = quantization.json;
  const std::string& method = quantization.method;
  if (method == "fp8") return fp8(config, json);
  // vLLM, FBGEMMFp8LinearMethod; transformers, FbgemmFp8Llama4TextExperts: a scale per output.
  if (method == "fbgemm_fp8") return scaled("fp8_e4m3", 1, 0, "weight_scale", "fp32");
  if (method == "mxfp4") return mxfp4();
  if (method == "compressed-tensors") {
    return compressed_tensors(config, json, projection, assumed);
  }
  if (method.starts_with("modelopt")) return modelopt(config, quantization, projection, assumed);
  if (method == "quark") return quark(config, json, projection, assumed);
  if (method == "awq") return awq(json, assumed);
  if (method == "gptq") return gptq(config, json, projection, assumed);
  if (method == "auto-round") return auto_round(config, json, projection, assumed);
  // SGLang, W4AFp8MoEMethod: scales of groups become bf16 once loaded.
  if (method == "w4afp8") return scaled("int4", 1, group_of(json), "weight_scale_inv", "bf16");
  if (method == "ascend") return ascend(config, json, assumed);
  if (method == "mindie") {
    return mindie(config, json, assumed).value_or(plain(weight_dtype(config, assumed)));
  }
  json.fail(
      fmt::format("quant_method '{}' is not known (fp8, fbgemm_fp8, mxfp4, compressed-tensors, "
                  "modelopt, quark, awq, gptq, "
                  "auto-round, w4afp8, ascend are): {}",
                  method, kWriteTensors));
}

}  // namespace moeshift
