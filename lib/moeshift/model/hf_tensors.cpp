// SPDX-License-Identifier: Apache-2.0
// The tensors of one expert as a checkpoint of config.json's quantisation holds them.
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/model/hf_layouts.hpp"

namespace moeshift {
namespace {

std::vector<Projection> projections_of(const ExpertShape& shape) {
  std::vector<Projection> projections;
  if (shape.fused) {
    projections.push_back({"gate_up_proj", 2 * shape.intermediate, shape.hidden});
  } else {
    if (shape.gated) projections.push_back({"gate_proj", shape.intermediate, shape.hidden});
    projections.push_back({"up_proj", shape.intermediate, shape.hidden});
  }
  projections.push_back({"down_proj", shape.hidden, shape.intermediate});
  return projections;
}

/// Layers whose experts are not as those of the others: they are told, not counted.
void tell_layers_left_alone(const std::vector<std::vector<std::int64_t>>& alone,
                            std::size_t num_layers, std::vector<std::string>& assumed) {
  std::set<std::int64_t> layers;
  for (const auto& of_projection : alone) {
    if (of_projection.size() < num_layers) {
      layers.insert(of_projection.begin(), of_projection.end());
    }
  }
  if (layers.empty()) return;
  assumed.push_back(
      fmt::format("experts of layers {} are not quantised, those of the other {} are: bytes of an "
                  "expert are the others'",
                  fmt::join(layers, ", "), num_layers - layers.size()));
}

/// Of every projection.
std::vector<Layout> layouts_of(const HfConfig& config, const std::vector<Projection>& projections,
                               std::vector<std::string>& assumed) {
  if (const auto mindie = mindie_layout(config, assumed)) {
    return std::vector<Layout>(projections.size(), *mindie);
  }
  const auto quantization = config.find({"quantization_config", "compression_config"});
  if (!quantization || (quantization->is_object() && quantization->keys().empty())) {
    return std::vector<Layout>(projections.size(), plain(weight_dtype(config, assumed)));
  }
  std::vector<std::string> names;
  for (const Projection& projection : projections) names.push_back(projection.name);
  const auto alone = layers_left_alone(config, *quantization, names, assumed);
  const std::size_t num_layers = hf_layers(config).moe.size();
  tell_layers_left_alone(alone, num_layers, assumed);
  std::vector<Layout> layouts;
  for (std::size_t p = 0; p < names.size(); ++p) {
    layouts.push_back(alone[p].size() == num_layers
                          ? plain(weight_dtype(config, assumed))
                          : quantized_layout(config, *quantization, names[p], assumed));
  }
  return layouts;
}

/// Each sentence once, in the order of their first.
void drop_repeated(std::vector<std::string>& sentences) {
  std::set<std::string> seen;
  std::erase_if(sentences, [&](const std::string& s) { return !seen.insert(s).second; });
}

}  // namespace

ExpertTensor make_tensor(std::string name, std::vector<std::int64_t> shape, std::string dtype) {
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= extent;
  const std::int64_t bytes = (elements * bits_of_dtype(dtype) + 7) / 8;
  return {std::move(name), std::move(shape), std::move(dtype), Bytes(bytes)};
}

std::vector<ExpertTensor> hf_expert_tensors(const HfConfig& config, const ExpertShape& shape,
                                            std::vector<std::string>& assumed) {
  const std::vector<Projection> projections = projections_of(shape);
  const std::vector<Layout> layouts = layouts_of(config, projections, assumed);
  std::vector<ExpertTensor> tensors;
  for (std::size_t p = 0; p < projections.size(); ++p) {
    layouts[p](projections[p], tensors);
    if (shape.bias) {
      tensors.push_back(make_tensor(projections[p].name + ".bias", {projections[p].out}, "bf16"));
    }
  }
  drop_repeated(assumed);
  return tensors;
}

}  // namespace moeshift
