// SPDX-License-Identifier: Apache-2.0
// A model as a file of configs/models: keys in that order, a line per tensor.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/moe_model.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kIdsPerLine = 24;

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

/// "[1, 2,\n 3]", a line for every two dozen numbers.
std::string ids_text(const std::vector<std::int64_t>& ids) {
  std::string text = "[";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    text += i == 0 ? "" : i % kIdsPerLine == 0 ? ",\n    " : ", ";
    text += std::to_string(ids[i]);
  }
  return text + "]";
}

std::string sizes_text(const ExpertSizes& sizes, const MoeModel& model) {
  std::string text = "[";
  for (const LayerId layer : all_ids<LayerId>(model.num_layers)) {
    text += layer.index() == 0 ? "" : ", ";
    if (sizes.uniform(layer)) {
      text += std::to_string(sizes(layer, ExpertId(0)).count());
      continue;
    }
    std::vector<std::int64_t> row;
    for (const ExpertId expert : all_ids<ExpertId>(model.num_experts)) {
      row.push_back(sizes(layer, expert).count());
    }
    text += ids_text(row);
  }
  return text + "]";
}

}  // namespace

std::string moe_model_text(const MoeModel& model) {
  std::string text = "{\n";
  const auto member = [&](std::string_view key, const std::string& value) {
    text += fmt::format("  \"{}\": {},\n", key, value);
  };
  member("name", quoted(model.name));
  member("description", quoted(model.description));
  member("source", quoted(model.source));
  if (!model.repositories.empty()) {
    member("repositories", nlohmann::json(model.repositories).dump());
  }
  if (model.num_hidden_layers)
    member("num_hidden_layers", std::to_string(*model.num_hidden_layers));
  member("num_layers", std::to_string(model.num_layers));
  member("num_experts", std::to_string(model.num_experts));
  member("top_k", std::to_string(model.top_k));
  member("num_expert_groups", std::to_string(model.num_expert_groups));
  if (model.num_shared_experts > 0) {
    member("num_shared_experts", std::to_string(model.num_shared_experts));
  }
  if (model.num_zero_experts > 0) {
    member("num_zero_experts", std::to_string(model.num_zero_experts));
  }
  member("hidden_size", std::to_string(model.hidden_size));
  member("layer_ids", ids_text(model.layer_ids));
  if (!model.mtp_layer_ids.empty()) member("mtp_layer_ids", ids_text(model.mtp_layer_ids));
  if (model.bytes_per_expert)
    member("bytes_per_expert", sizes_text(*model.bytes_per_expert, model));
  text += "  \"expert_tensors\": [";
  for (std::size_t i = 0; i < model.expert_tensors.size(); ++i) {
    const ExpertTensor& tensor = model.expert_tensors[i];
    text += fmt::format("{}\n    {{\"name\": {}, \"shape\": [{}], \"dtype\": {}, \"bytes\": {}}}",
                        i == 0 ? "" : ",", quoted(tensor.name), fmt::join(tensor.shape, ", "),
                        quoted(tensor.dtype), tensor.bytes.count());
  }
  return text + "\n  ]\n}\n";
}

}  // namespace moeshift
