// SPDX-License-Identifier: Apache-2.0
// Huawei's MindIE and vllm-ascend.
#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_layouts.hpp"

namespace moeshift {
namespace {

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

/// vllm-ascend, AscendW4A8DynamicFusedMoEMethod: two weights a byte, a scale and an offset per
/// output, as many more per group where there are groups, and biases of the scales, sixteen for an
/// output of down_proj.
Layout w4a8(const JsonReader& quantization) {
  if (hf_text(quantization, "version") != "1.0.0") {
    quantization.fail(fmt::format(
        "W4A8_DYNAMIC of experts is known in version \"1.0.0\", which packs two weights a byte: {}",
        kWriteTensors));
  }
  const std::int64_t group = hf_number(quantization, "group_size", 256);
  return [group](const Projection& p, std::vector<ExpertTensor>& tensors) {
    const auto add = [&](const char* what, std::int64_t across) {
      tensors.push_back(make_tensor(p.name + "." + what, {p.out, across}, "fp32"));
    };
    tensors.push_back(make_tensor(p.name + ".weight", {p.out, p.in}, "int4"));
    add("weight_scale", 1);
    add("weight_offset", 1);
    if (group > 0) {
      add("weight_scale_second", p.in / group);
      add("weight_offset_second", p.in / group);
    }
    add("scale_bias", p.name == "down_proj" ? 16 : 1);
  };
}

}  // namespace

std::optional<Layout> mindie(const HfConfig& config, const JsonReader& type,
                             std::vector<std::string>& assumed) {
  return mindie_type(type, type.string(), weight_dtype(config, assumed));
}

std::map<std::int64_t, std::set<std::string>> ascend_types(const HfConfig& config,
                                                           const JsonReader& quantization) {
  std::map<std::int64_t, std::set<std::string>> types;
  for (const auto& [name, type] : quantization.raw().items()) {
    if (!name.ends_with(".weight") || !is_about_experts(name)) continue;
    const auto layer = expert_layer_in(config, name);
    if (!layer ||
        std::ranges::find(config.layers.with_drafts, *layer) == config.layers.with_drafts.end()) {
      continue;
    }
    types[*layer].insert(type.is_string() ? type.get<std::string>() : "");
  }
  return types;
}

Layout ascend(const HfConfig& config, const JsonReader& quantization,
              std::vector<std::string>& assumed) {
  std::set<std::string> types;
  for (const auto& [layer, of_layer] : ascend_types(config, quantization)) {
    if (of_layer != std::set<std::string>{"FLOAT"}) types.insert(of_layer.begin(), of_layer.end());
  }
  if (types.size() > 1) {
    quantization.fail(
        fmt::format("experts have several types ({}): {}", fmt::join(types, ", "), kWriteTensors));
  }
  if (types.empty()) {
    quantization.fail(fmt::format(
        "no weights of experts are named here: their types are in quant_model_description.json, "
        "which belongs beside config.json; or, where that says W8A8_DYNAMIC of experts, give "
        "config.json the key \"quantize\": \"w8a8_dynamic\"; else {}",
        kWriteTensors));
  }
  if (*types.begin() == "W4A8_DYNAMIC") return w4a8(quantization);
  const std::string dtype = weight_dtype(config, assumed);
  return mindie_type(quantization, *types.begin(), dtype).value_or(plain(dtype));
}

}  // namespace moeshift
