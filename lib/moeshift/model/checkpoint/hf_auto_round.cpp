// SPDX-License-Identifier: Apache-2.0
// Intel's AutoRound, which stores as GPTQ or AWQ do.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/checkpoint/hf_layouts.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kTrainedBits = 16;

std::int64_t bits_of_module(const JsonReader& settings) {
  return settings.is_object() ? hf_number(settings, "bits", kTrainedBits) : kTrainedBits;
}

/// A name, or a regular expression that may match anywhere (vLLM, INCConfig.get_layer_config).
ModulePattern pattern_of(const std::string& key) {
  const bool regex = key.find_first_of("*+?^$()[]{}|\\") != std::string::npos;
  return regex ? ModulePattern::regex(".*" + key) : ModulePattern(key);
}

/// Blocks named in a text ("a,b") or a list; where none is, all are meant.
bool covers_layers(const JsonReader& quantization) {
  for (const char* key : {"block_name_to_quantize", "to_quant_block_names"}) {
    const auto blocks = quantization.find(key);
    if (!blocks || blocks->is_null()) continue;
    return blocks->raw().dump().find("layers") != std::string::npos;
  }
  return true;
}

/// @throws InputError where experts have settings of their own: they are not read.
void require_no_others(const HfConfig& config, const JsonReader& quantization,
                       const std::string& projection) {
  const auto modules = quantization.find("extra_config");
  if (!modules || !modules->is_object()) return;
  ExpertNames names(config);
  for (const auto& [key, raw] : modules->raw().items()) {
    const JsonReader settings(raw, modules->where() + "/" + key);
    if (bits_of_module(settings) >= kTrainedBits) continue;
    bool same = true;
    for (const char* what : {"bits", "group_size", "data_type"}) {
      const auto own = settings.find(what);
      const auto all = quantization.find(what);
      same = same && (!own || (all && own->raw() == all->raw()));
    }
    if (same) continue;
    const ModulePattern pattern = pattern_of(key);
    for (const std::int64_t layer : config.layers.counted) {
      if (!pattern.covers(names, layer, projection)) continue;
      modules->fail(
          fmt::format("'{}' gives experts settings of their own: {}", key, kWriteTensors));
    }
  }
}

}  // namespace

std::vector<ModulePattern> spared_by_auto_round(const JsonReader& quantization) {
  std::vector<ModulePattern> modules;
  const auto all = quantization.find("extra_config");
  if (!all || !all->is_object()) return modules;
  for (const auto& [key, raw] : all->raw().items()) {
    if (bits_of_module(JsonReader(raw, all->where() + "/" + key)) >= kTrainedBits) {
      modules.push_back(pattern_of(key));
    }
  }
  return modules;
}

Layout auto_round(const HfConfig& config, const JsonReader& quantization,
                  const std::string& projection, std::vector<std::string>& assumed) {
  if (!covers_layers(quantization)) return plain(weight_dtype(config, assumed));
  const std::string type = hf_text(quantization, "data_type");
  const std::string packing = hf_text(quantization, "packing_format");
  const bool known = (type.empty() || type == "int") &&
                     (packing.empty() || packing == "auto_round:auto_gptq" ||
                      packing == "auto_round:auto_awq" || packing == "auto_round:gptqmodel");
  const std::int64_t bits = quantization.at("bits").whole(1, 16);
  if (!known || (bits != 4 && bits != 8)) {
    quantization.fail(fmt::format(
        "{} bits of data_type '{}' in packing_format '{}' are not known (int of 4 and 8 in "
        "auto_round:auto_gptq and auto_round:auto_awq are): {}",
        bits, type, packing, kWriteTensors));
  }
  require_no_others(config, quantization, projection);
  return grouped_integers(bits, quantization.at("group_size").whole(-1, 1 << 20), true, false);
}

}  // namespace moeshift
