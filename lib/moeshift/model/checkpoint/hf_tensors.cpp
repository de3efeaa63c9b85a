// SPDX-License-Identifier: Apache-2.0
// The tensors of one expert as a checkpoint of config.json's quantisation holds them.
#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/model/checkpoint/hf_layouts.hpp"

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

std::vector<ExpertTensor> tensors_of(const Projection& projection, const Layout& layout,
                                     bool bias) {
  std::vector<ExpertTensor> tensors;
  layout(projection, tensors);
  if (bias) tensors.push_back(make_tensor(projection.name + ".bias", {projection.out}, "bf16"));
  return tensors;
}

Bytes bytes_of(const std::vector<ExpertTensor>& tensors) {
  return std::accumulate(tensors.begin(), tensors.end(), Bytes(0),
                         [](Bytes sum, const ExpertTensor& t) { return sum + t.bytes; });
}

/// Layers whose experts are not as those of the others.
void tell_layers_left_alone(const HfConfig& config,
                            const std::vector<std::set<std::int64_t>>& alone,
                            std::vector<std::string>& assumed) {
  std::set<std::int64_t> layers;
  const auto& counted = config.layers.counted;
  for (const auto& of_projection : alone) {
    if (of_projection.size() == config.layers.with_drafts.size()) continue;
    layers.insert(of_projection.begin(), of_projection.end());
  }
  std::erase_if(layers, [&](std::int64_t layer) {
    return std::ranges::find(counted, layer) == counted.end();
  });
  if (layers.empty() || layers.size() == counted.size()) return;
  assumed.push_back(
      fmt::format("experts of layers {} are not quantised, those of the other {} are: the file "
                  "made has bytes for each layer",
                  fmt::join(layers, ", "), counted.size() - layers.size()));
}

HfExperts unquantised(const HfConfig& config, const ExpertShape& shape,
                      std::vector<std::string>& assumed) {
  const std::string dtype = weight_dtype(config, assumed);
  if (const auto own = config.find({"expert_dtype"})) {
    const std::string name = own->string();
    const bool same = name == dtype || name == "bfloat16" || name == "float16" || name == "float32";
    if (!same) {
      own->fail(fmt::format("'{}', and no quantization_config says how such experts are stored: {}",
                            name, kWriteTensors));
    }
  }
  HfExperts experts;
  for (const Projection& projection : projections_of(shape)) {
    const auto tensors = tensors_of(projection, plain(dtype), shape.bias);
    experts.tensors.insert(experts.tensors.end(), tensors.begin(), tensors.end());
  }
  experts.bytes.assign(config.layers.with_drafts.size(), bytes_of(experts.tensors));
  return experts;
}

HfExperts quantised(const HfConfig& config, const ExpertShape& shape,
                    const HfQuantization& quantization, std::vector<std::string>& assumed) {
  const std::vector<Projection> projections = projections_of(shape);
  std::vector<std::string> names;
  for (const Projection& projection : projections) names.push_back(projection.name);
  const auto alone = layers_left_alone(config, quantization, names, assumed);
  tell_layers_left_alone(config, alone, assumed);
  if (quantization.method != "fp8" && config.find({"expert_dtype"})) {
    assumed.push_back(
        fmt::format("expert_dtype is not read: {} says how experts are stored", quantization.name));
  }
  const HfLayers& layers = config.layers;
  HfExperts experts;
  experts.bytes.resize(layers.with_drafts.size());
  for (std::size_t p = 0; p < projections.size(); ++p) {
    const auto is_alone = [&](std::int64_t layer) { return alone[p].contains(layer); };
    const bool none_left = std::ranges::all_of(layers.counted, is_alone);
    std::vector<ExpertTensor> trained;
    if (!alone[p].empty()) {
      trained = tensors_of(projections[p], plain(weight_dtype(config, assumed)), shape.bias);
    }
    const auto most =
        none_left
            ? trained
            : tensors_of(projections[p], quantized_layout(config, quantization, names[p], assumed),
                         shape.bias);
    experts.tensors.insert(experts.tensors.end(), most.begin(), most.end());
    for (std::size_t i = 0; i < experts.bytes.size(); ++i) {
      experts.bytes[i] += bytes_of(is_alone(layers.with_drafts[i]) ? trained : most);
    }
  }
  return experts;
}

/// A file that says otherwise is a mistake somewhere; one that is not understood is told.
void compare(const HfConfig& config, const ExpertShape& shape, const HfQuantization& chosen,
             const HfExperts& experts, const HfQuantization& other,
             std::vector<std::string>& assumed) {
  HfExperts others;
  try {
    std::vector<std::string> not_told;
    others = quantised(config, shape, other, not_told);
  } catch (const InputError& error) {
    assumed.push_back(fmt::format("{} is read; {} says something too that is not understood: {}",
                                  chosen.name, other.name, error.what()));
    return;
  }
  if (others.bytes == experts.bytes) return;
  if (chosen.method == "mindie" && !other.beside) return;  // told already
  const auto differ = std::ranges::mismatch(others.bytes, experts.bytes);
  other.json.fail(fmt::format(
      "by this an expert of layer {} has {} bytes, by {} {}: take away what is wrong",
      config.layers.with_drafts[static_cast<std::size_t>(differ.in1 - others.bytes.begin())],
      differ.in1->count(), chosen.name, differ.in2->count()));
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

HfExperts hf_experts(const HfConfig& config, const ExpertShape& shape,
                     const std::vector<HfBeside>& beside, std::vector<std::string>& assumed) {
  const std::vector<HfQuantization> stated = hf_quantizations(config, beside, assumed);
  if (stated.empty()) return unquantised(config, shape, assumed);
  const HfQuantization& chosen = stated.front();
  if (chosen.beside) {
    assumed.push_back(fmt::format(
        "{} beside it says how experts are quantised, and is read as engines do", chosen.name));
  }
  const HfExperts experts = quantised(config, shape, chosen, assumed);
  for (std::size_t i = 1; i < stated.size(); ++i) {
    if (chosen.method == "mindie" && !stated[i].beside) {
      assumed.push_back(fmt::format("{} says {}, {} {}: the first is read, as MindIE does",
                                    chosen.name, chosen.json.string(), stated[i].name,
                                    stated[i].method));
    }
    compare(config, shape, chosen, experts, stated[i], assumed);
  }
  drop_repeated(assumed);
  return experts;
}

}  // namespace moeshift
