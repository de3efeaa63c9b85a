// SPDX-License-Identifier: Apache-2.0
// NVIDIA's Model Optimizer.
#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_layouts.hpp"

namespace moeshift {
namespace {

/// What ModelOpt calls it; nothing for what is not known.
std::optional<Layout> modelopt_algorithm(const JsonReader& json, const std::string& algorithm) {
  if (algorithm.find("NVFP4") != std::string::npos) {
    return nvfp4(std::max<std::int64_t>(hf_number(json, "group_size", 16), 1));
  }
  if (algorithm == "FP8") return scaled("fp8_e4m3", 0, 0, "weight_scale", "fp32");
  if (algorithm == "FP8_PER_CHANNEL_PER_TOKEN") {
    return scaled("fp8_e4m3", 1, 0, "weight_scale", "fp32");
  }
  if (algorithm == "FP8_PB_WO") return scaled("fp8_e4m3", 128, 128, "weight_scale", "fp32");
  if (algorithm == "MXFP8") return scaled("fp8_e4m3", 1, 32, "weight_scale", "e8m0");
  return {};
}

/// In capitals, as ModelOpt does not always write it.
std::string algorithm_of(const JsonReader& json) {
  std::string algorithm = hf_text(json, "quant_algo");
  std::ranges::transform(algorithm, algorithm.begin(),
                         [](unsigned char c) { return std::toupper(c); });
  return algorithm;
}

/// Projections of experts that a list of modules names: of each layer how many experts.
using Coverage = std::map<std::int64_t, std::set<std::string>>;

void require_all_experts(const HfConfig& config, const JsonReader& list, const Coverage& coverage,
                         const std::set<std::int64_t>& layers_named,
                         const std::string& projection) {
  constexpr const char* kAllOfThem = "*";
  const auto experts = static_cast<std::size_t>(hf_num_experts(config));
  for (const std::int64_t layer : config.layers.counted) {
    const auto found = coverage.find(layer);
    const std::size_t named = found == coverage.end() ? 0 : found->second.size();
    const bool whole = named == experts || (named > 0 && found->second.contains(kAllOfThem));
    if (whole || !layers_named.contains(layer)) continue;
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
  const auto counted = [&](std::int64_t layer) {
    return std::ranges::binary_search(config.layers.counted, layer);
  };
  Coverage coverage;
  std::set<std::int64_t> layers_named;  // the others are not quantised: layers_left_alone()
  std::map<std::string, std::string> algorithms;           // and a module that has it
  for (const auto& [name, entry] : list->raw().items()) {  // by key each would be found in O(n)
    const auto layer = expert_layer_in(config, name);
    const std::size_t at = name.find(".experts");
    if (at == std::string::npos || !layer || !counted(*layer)) continue;
    layers_named.insert(*layer);
    const std::string_view rest = std::string_view(name).substr(at + 8);
    const std::string_view last = rest.substr(rest.rfind('.') + 1);
    if (!rest.empty() && !is_projection(last, projection)) continue;
    const bool one = rest.find('.', 1) != std::string_view::npos;  // ".7.up_proj", not ".up_proj"
    coverage[*layer].insert(one ? std::string(rest.substr(1, rest.find('.', 1) - 1)) : "*");
    algorithms.emplace(algorithm_of(JsonReader(entry, list->where())), name);
  }
  require_all_experts(config, *list, coverage, layers_named, projection);
  if (algorithms.size() > 1) {
    list->fail(fmt::format("experts differ ({} and {}): {}", algorithms.begin()->second,
                           algorithms.rbegin()->second, kWriteTensors));
  }
  const auto layout = modelopt_algorithm(quantization, algorithms.begin()->first);
  if (layout) return *layout;
  list->fail(fmt::format("quant_algo '{}' of {} is not known (NVFP4, FP8, MXFP8 are): {}",
                         algorithms.begin()->first, algorithms.begin()->second, kWriteTensors));
}

}  // namespace

Layout modelopt(const HfConfig& config, const HfQuantization& quantization,
                const std::string& projection, std::vector<std::string>& assumed) {
  const JsonReader& json = quantization.json;
  const std::string algorithm = algorithm_of(json);
  if (const auto layout = modelopt_algorithm(json, algorithm)) return *layout;
  if (algorithm == "MIXED_PRECISION") {
    const auto list = json.find("quantized_layers");
    const bool none = !list || list->is_null() || (list->is_object() && list->keys().empty());
    if (!none || !quantization.beside) return mixed(config, json, projection);
    // SGLang, ModelConfig._parse_modelopt_quant_config: DeepSeek-R1-W4AFP8 and its like.
    assumed.push_back(fmt::format(
        "MIXED_PRECISION without a list of layers in {} is read as w4afp8, as SGLang does",
        quantization.name));
    return scaled("int4", 1, 128, "weight_scale_inv", "bf16");
  }
  if (json.has("config_groups")) return compressed_tensors(config, json, projection, assumed);
  json.fail(fmt::format("quant_algo '{}' is not known (NVFP4, FP8, MXFP8, MIXED_PRECISION are): {}",
                        algorithm, kWriteTensors));
}

}  // namespace moeshift
