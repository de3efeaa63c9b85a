// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/mindie_config.hpp"

#include <istream>

#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/joined/file_names.hpp"

namespace moeshift {

MindieConfig read_mindie_config(const TraceInput& input) {
  ByteSource bytes(input.open(), input.name);
  const auto document = parse_json(bytes.rest(), input.name);
  const JsonReader top(document, input.name);
  MindieConfig config;
  config.layers = static_cast<std::size_t>(
      top.at("num_moe_layers").whole(1, static_cast<std::int64_t>(kMostLayers)));
  config.experts = static_cast<std::size_t>(
      top.at("num_of_experts").whole(1, static_cast<std::int64_t>(kMostExperts)));
  for (const char* key : {"num_of_selected_expert", "num_of_selected_experts"}) {
    const auto chosen = top.find(key);
    if (!chosen) continue;
    const JsonReader number = chosen->is_array() ? chosen->at(std::size_t{0}) : *chosen;
    config.top_k =
        static_cast<std::size_t>(number.whole(1, static_cast<std::int64_t>(config.experts)));
  }
  const auto enabled = top.find("enable_dangling_shared_expert");
  const auto shared = top.find("num_dangling_shared_experts");
  if (shared && (!enabled || enabled->boolean())) {
    config.shared_devices = static_cast<std::size_t>(shared->whole(0, 1'000'000));
  }
  const auto map = top.find("eplb_expert_map_file");
  if (map && !map->is_null()) config.map = file_name(map->string());
  return config;
}

}  // namespace moeshift
