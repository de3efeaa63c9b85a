// SPDX-License-Identifier: Apache-2.0
// The engines that read a placement, what their loaders take, and who writes their files.
#include <algorithm>
#include <array>
#include <ostream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/formats/engines/engine_export.hpp"
#include "moeshift/formats/engines/lightllm.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

using Rank = std::optional<std::size_t>;

/// Those that are also read: the writer stands beside the reader.
template <PlacementFormat (*kFormat)()>
void write_as(std::ostream& out, const PlacementFile& file, Rank) {
  kFormat().write(out, file);
}

/// [[slots] x layers]
void write_list(std::ostream& out, const PlacementFile& file, Rank) {
  out << '[';
  for (const LayerId layer : all_ids<LayerId>(file.placement.layers())) {
    out << (layer.index() > 0 ? ",\n" : "\n") << row_text(file.placement.layer(layer));
  }
  out << "\n]\n";
}

void write_rank_of_lightllm(std::ostream& out, const PlacementFile& file, Rank rank) {
  write_lightllm(out, file, *rank);
}

}  // namespace

std::span<const EngineFormat> engine_formats() {
  static const std::array<EngineFormat, 9> formats{{
      {"moeshift",
       "plan file of this program",
       {.empty_slots = true, .drafts = true},
       "",
       write_as<plan_placement_format>},
      {"vllm",
       "vLLM eplb_initial_mapping JSON Lines",
       {.in_order = true},
       "vllm#41141",
       write_as<vllm_placement_format>},
      {"vllm-list",
       "vLLM bare list [[slots] x MoE layers]",
       {.in_order = true},
       "vllm#49572, vllm#53022",
       write_list},
      {"sglang",
       "SGLang --init-expert-location JSON",
       {.own_numbers = true, .every_layer = true},
       "",
       write_as<sglang_placement_format>},
      {"rtp-llm",
       "rtp-llm phy2log_path, a list for every layer",
       {.own_numbers = true, .every_layer = true},
       "",
       write_list},
      {"trtllm",
       "TensorRT-LLM moe_load_balancer YAML",
       {.own_numbers = true, .drafts = true},
       "",
       write_as<trtllm_placement_format>},
      {"ascend",
       "vllm-ascend expert_map.json",
       {.repeats = false, .in_order = true},
       "",
       write_as<ascend_placement_format>},
      {"lightllm",
       "LightLLM redundant experts of one rank",
       {.repeats = false, .own_numbers = true},
       "",
       write_rank_of_lightllm,
       true,
       lightllm_caution},
      {"npy",
       "NumPy int array [layers, slots]",
       {.empty_slots = true, .drafts = true, .in_order = true},
       "",
       write_as<npy_placement_format>},
  }};
  return formats;
}

const EngineFormat& engine_format(std::string_view name) {
  std::vector<std::string_view> known;
  for (const EngineFormat& format : engine_formats()) {
    if (format.name == name) return format;
    known.push_back(format.name);
  }
  throw InputError("", fmt::format("unknown placement format '{}'; expected one of {}{}", name,
                                   fmt::join(known, ", "), did_you_mean(name, known)));
}

}  // namespace moeshift
