// SPDX-License-Identifier: Apache-2.0
// Which layout a checkpoint's quantisation gives to experts.
#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/hf_layouts.hpp"

namespace moeshift {
namespace {

bool flag(const JsonReader& json, std::string_view key, bool otherwise) {
  const auto found = json.find(key);
  return found && !found->is_null() ? found->boolean() : otherwise;
}

std::int64_t number(const JsonReader& json, std::string_view key, std::int64_t otherwise) {
  const auto found = json.find(key);
  return found && !found->is_null() ? found->whole(-1, 1 << 20) : otherwise;
}

std::string text(const JsonReader& json, std::string_view key) {
  const auto found = json.find(key);
  return found && found->is_string() ? found->string() : "";
}

/// Weights that share a scale; 0: all of a row, which some write as -1.
std::int64_t group_of(const JsonReader& json) {
  return std::max<std::int64_t>(number(json, "group_size", 128), 0);
}

/// GPTQ and AWQ pack whole words: 2, 3, 5 to 7 bits do not take what the name says.
std::int64_t bits_of(const JsonReader& json, std::int64_t bits) {
  if (bits == 4 || bits == 8) return bits;
  json.fail(fmt::format("{} bits are not known (4 and 8 are): {}", bits, kWriteTensors));
}

/// How many weights share a scale: rows and columns of a block, 0 for all.
std::pair<std::int64_t, std::int64_t> block_of(const JsonReader& weights) {
  const std::string strategy = text(weights, "strategy");
  if (strategy == "block") {
    const JsonReader block = weights.at("block_structure");
    return {block.at(std::size_t{0}).whole(1), block.at(std::size_t{1}).whole(1)};
  }
  const std::int64_t group = number(weights, "group_size", 0);
  if (strategy == "group" || (strategy.empty() && group > 0)) {
    return {1, std::max<std::int64_t>(group, 1)};
  }
  if (strategy == "channel") return {1, 0};
  return {0, 0};  // one per tensor
}

/// What the weights of a layer scheme are: {"num_bits", "type", "strategy", "group_size"}.
Layout of_scheme(const JsonReader& weights) {
  const std::int64_t bits = number(weights, "num_bits", 16);
  const std::string type = text(weights, "type");
  if (bits == 4 && type == "float") {
    return number(weights, "group_size", 0) == 32 ? mxfp4() : nvfp4();
  }
  const bool known =
      (bits == 8 && (type == "float" || type == "int")) || (bits == 4 && type == "int");
  if (!known) {
    weights.fail(fmt::format("expected 4 or 8 bits of type int or float: {}", kWriteTensors));
  }
  const auto [rows, columns] = block_of(weights);
  if (type == "float") {
    const bool mx = rows == 1 && columns == 32;  // MXFP8: a power of two per 32 values
    return scaled("fp8_e4m3", rows, columns, "weight_scale", mx ? "e8m0" : "fp32");
  }
  const Layout layout = scaled(bits == 4 ? "int4" : "int8", rows, columns, "weight_scale",
                               bits == 4 ? "bf16" : "fp32", !flag(weights, "symmetric", true));
  // Inputs ordered by how much they matter: the group of each is stored, unless the weights were
  // sorted instead ("weight", "static").
  if (text(weights, "actorder") != "group" && text(weights, "actorder") != "dynamic") {
    return layout;
  }
  return [layout](const Projection& p, std::vector<ExpertTensor>& tensors) {
    layout(p, tensors);
    tensors.push_back(make_tensor(p.name + ".weight_g_idx", {p.in}, "int32"));
  };
}

/// compressed-tensors, and what writes as it does.
Layout by_groups(const HfConfig& config, const JsonReader& quantization,
                 const std::string& projection, std::vector<std::string>& assumed) {
  const auto weights = scheme_of_experts(config, quantization, projection);
  return weights ? of_scheme(*weights) : plain(weight_dtype(config, assumed));
}

Layout fp8(const HfConfig& config, const JsonReader& quantization) {
  const auto experts = config.find({"expert_dtype"});
  if (experts && experts->string() == "fp4") return mxfp4();  // DeepSeek-V4: e8m0 per 32 values
  const auto block = quantization.find("weight_block_size");
  if (!block || block->is_null()) return scaled("fp8_e4m3", 0, 0, "weight_scale", "fp32");
  return scaled("fp8_e4m3", block->at(std::size_t{0}).whole(1), block->at(std::size_t{1}).whole(1),
                "weight_scale_inv", "fp32");
}

/// What ModelOpt calls it; nothing for what is not known.
std::optional<Layout> modelopt_algorithm(const std::string& algorithm) {
  if (algorithm.find("NVFP4") != std::string::npos) return nvfp4();
  if (algorithm == "FP8") return scaled("fp8_e4m3", 0, 0, "weight_scale", "fp32");
  if (algorithm == "FP8_PER_CHANNEL_PER_TOKEN") {
    return scaled("fp8_e4m3", 1, 0, "weight_scale", "fp32");
  }
  if (algorithm == "FP8_PB_WO") return scaled("fp8_e4m3", 128, 128, "weight_scale", "fp32");
  if (algorithm == "MXFP8") return scaled("fp8_e4m3", 1, 32, "weight_scale", "e8m0");
  return {};
}

/// Projections of experts that a list of modules names: of each layer how many experts.
using Coverage = std::map<std::int64_t, std::set<std::string>>;

void require_all_experts(const HfConfig& config, const JsonReader& list, const Coverage& coverage,
                         const std::string& projection) {
  constexpr const char* kAllOfThem = "*";
  const auto experts = static_cast<std::size_t>(hf_num_experts(config));
  for (const std::int64_t layer : hf_layers(config).moe) {
    const auto found = coverage.find(layer);
    const std::size_t named = found == coverage.end() ? 0 : found->second.size();
    const bool whole = named == experts || (named > 0 && found->second.contains(kAllOfThem));
    if (whole) continue;
    list.fail(
        fmt::format("names {} of {} experts in layer {} ({}): what the others are is not "
                    "known; {}",
                    named, experts, layer, projection, kWriteTensors));
  }
}

/// ModelOpt's list of layers, each with an algorithm: one is read that is the same in all experts.
Layout mixed(const HfConfig& config, const JsonReader& quantization,
             const std::string& projection) {
  const auto list = quantization.find("quantized_layers");
  if (!list || !list->is_object()) {
    quantization.fail(fmt::format(
        "MIXED_PRECISION without quantized_layers says nothing of experts: take that list over "
        "from hf_quant_config.json, or {}",
        kWriteTensors));
  }
  Coverage coverage;
  std::map<std::string, std::string> algorithms;           // and a module that has it
  for (const auto& [name, entry] : list->raw().items()) {  // by key each would be found in O(n)
    const auto layer = layer_in(name);
    const std::size_t at = name.find(".experts");
    if (at == std::string::npos || !layer) continue;
    const std::string_view rest = std::string_view(name).substr(at + 8);
    const std::string_view last = rest.substr(rest.rfind('.') + 1);
    if (!rest.empty() && !is_projection(last, projection)) continue;
    const bool one = rest.find('.', 1) != std::string_view::npos;  // ".7.up_proj", not ".up_proj"
    coverage[*layer].insert(one ? std::string(rest.substr(1, rest.find('.', 1) - 1)) : "*");
    algorithms.emplace(text(JsonReader(entry, list->where()), "quant_algo"), name);
  }
  require_all_experts(config, *list, coverage, projection);
  if (algorithms.size() > 1) {
    list->fail(fmt::format("experts differ ({} and {}): {}", algorithms.begin()->second,
                           algorithms.rbegin()->second, kWriteTensors));
  }
  const auto layout = modelopt_algorithm(algorithms.begin()->first);
  if (layout) return *layout;
  list->fail(fmt::format("quant_algo '{}' of {} is not known (NVFP4, FP8, MXFP8 are): {}",
                         algorithms.begin()->first, algorithms.begin()->second, kWriteTensors));
}

Layout modelopt(const HfConfig& config, const JsonReader& quantization,
                const std::string& projection, std::vector<std::string>& assumed) {
  const std::string algorithm = text(quantization, "quant_algo");
  if (const auto layout = modelopt_algorithm(algorithm)) return *layout;
  if (algorithm == "MIXED_PRECISION") return mixed(config, quantization, projection);
  if (quantization.has("config_groups")) {
    return by_groups(config, quantization, projection, assumed);
  }
  quantization.fail(
      fmt::format("quant_algo '{}' is not known (NVFP4, FP8, MXFP8, MIXED_PRECISION are): {}",
                  algorithm, kWriteTensors));
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
  const auto of_layer = [&](std::int64_t layer) {
    const auto found = std::ranges::find_if(
        modules, [&](const auto& module) { return module.first.covers(layer, projection); });
    return found == modules.end() ? std::string() : found->second;
  };
  const std::vector<std::int64_t> moe = hf_layers(config).moe;
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

Layout quark(const HfConfig& config, const JsonReader& quantization, const std::string& projection,
             std::vector<std::string>& assumed) {
  const JsonReader settings = quark_settings(config, quantization, projection);
  const auto weight = settings.find("weight");
  if (!weight || weight->is_null()) return plain(weight_dtype(config, assumed));
  if (!weight->is_object()) {
    weight->fail(fmt::format("expected one object: weights quantised twice are not known; {}",
                             kWriteTensors));
  }
  const std::string dtype = text(*weight, "dtype");
  const std::string scheme = text(*weight, "qscheme");
  if (dtype == "fp4") return mxfp4();
  if (dtype != "fp8_e4m3" && dtype != "int8") {
    weight->fail(
        fmt::format("dtype '{}' is not known (fp4, fp8_e4m3, int8 are): {}", dtype, kWriteTensors));
  }
  if (scheme == "per_group") {
    return scaled(dtype, 1, group_of(*weight), "weight_scale", "fp32");
  }
  return scaled(dtype, scheme == "per_channel" ? 1 : 0, 0, "weight_scale", "fp32");
}

/// GPTQ, with what GPTQModel's patterns say of experts.
Layout gptq(const HfConfig& config, const JsonReader& quantization, const std::string& projection) {
  std::int64_t bits = number(quantization, "bits", 4);
  std::int64_t group = number(quantization, "group_size", 128);
  bool order = flag(quantization, "desc_act", false);
  const auto dynamic = quantization.find("dynamic");
  if (dynamic && dynamic->is_object()) {
    const auto own = override_of(config, *dynamic, projection, [](const std::string& key) {
      return ModulePattern::regex(key.starts_with("+:") ? key.substr(2) : key);
    });
    if (own) {
      bits = number(*own, "bits", bits);
      group = number(*own, "group_size", group);
      order = flag(*own, "desc_act", order);
    }
  }
  return grouped_integers(bits_of(quantization, bits), group, true, order);
}

/// Weights of 8 bits per channel as vllm-ascend holds them (w8a8_dynamic.py): a scale and an
/// offset for each. Nothing for "float".
std::optional<Layout> mindie_type(const JsonReader& where, std::string type,
                                  const std::string& dtype) {
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
  if (type.empty() || type == "float") return {};
  if (type != "w8a8_dynamic" && type != "w8a16") {
    where.fail(fmt::format("'{}' is not known of experts (w8a8_dynamic, w8a16, float are): {}",
                           type, kWriteTensors));
  }
  const Layout channels = scaled("int8", 1, 0, "weight_scale", dtype);
  return [channels, dtype](const Projection& p, std::vector<ExpertTensor>& tensors) {
    channels(p, tensors);
    tensors.push_back(make_tensor(p.name + ".weight_offset", {p.out, 1}, dtype));
  };
}

/// vllm-ascend: the name of every tensor and its type, where they were taken over into config.json.
Layout ascend(const HfConfig& config, const JsonReader& quantization,
              std::vector<std::string>& assumed) {
  const std::vector<std::int64_t> moe = hf_layers(config).moe;
  std::set<std::string> types;
  for (const auto& [name, type] : quantization.raw().items()) {
    const auto layer = layer_in(name);
    if (!layer || !name.ends_with(".weight") || !is_about_experts(name)) continue;
    if (std::ranges::find(moe, *layer) == moe.end()) continue;
    types.insert(type.is_string() ? type.get<std::string>() : "");
  }
  if (types.size() > 1) {
    quantization.fail(
        fmt::format("experts have several types ({}): {}", fmt::join(types, ", "), kWriteTensors));
  }
  if (types.empty()) {
    quantization.fail(fmt::format(
        "the types of weights are in quant_model_description.json beside config.json, not here: "
        "where that says W8A8_DYNAMIC of experts, give config.json the key \"quantize\": "
        "\"w8a8_dynamic\"; else {}",
        kWriteTensors));
  }
  const std::string dtype = weight_dtype(config, assumed);
  return mindie_type(quantization, *types.begin(), dtype).value_or(plain(dtype));
}

}  // namespace

std::optional<Layout> mindie_layout(const HfConfig& config, std::vector<std::string>& assumed) {
  const auto type = config.find({"moe_quantize", "quantize"});
  if (!type) return {};
  const auto layout = mindie_type(*type, type->string(), weight_dtype(config, assumed));
  const auto other = config.find({"quantization_config"});
  if (layout && other && other->is_object()) {
    assumed.push_back(fmt::format(
        "\"quantize\" says {}, quantization_config {}: the first is read, as MindIE does",
        type->string(), text(*other, "quant_method")));
  }
  return layout;
}

Layout quantized_layout(const HfConfig& config, const JsonReader& quantization,
                        const std::string& projection, std::vector<std::string>& assumed) {
  const std::string method = text(quantization, "quant_method");
  const std::int64_t group = number(quantization, "group_size", 128);
  if (method == "fp8" || method == "fbgemm_fp8") return fp8(config, quantization);
  if (method == "mxfp4") return mxfp4();
  if (method == "compressed-tensors") {
    return by_groups(config, quantization, projection, assumed);
  }
  if (method.starts_with("modelopt")) return modelopt(config, quantization, projection, assumed);
  if (method == "quark") return quark(config, quantization, projection, assumed);
  if (method == "awq") {
    return grouped_integers(bits_of(quantization, number(quantization, "bits", 4)), group,
                            flag(quantization, "zero_point", true), false);
  }
  if (method == "gptq") return gptq(config, quantization, projection);
  // SGLang, W4AFp8MoEMethod: scales of groups become bf16 once loaded.
  if (method == "w4afp8")
    return scaled("int4", 1, group_of(quantization), "weight_scale_inv", "bf16");
  if (method == "ascend") return ascend(config, quantization, assumed);
  quantization.fail(fmt::format(
      "quant_method '{}' is not known (fp8, mxfp4, compressed-tensors, modelopt, quark, awq, gptq, "
      "w4afp8, ascend are): {}",
      method, kWriteTensors));
}

}  // namespace moeshift
