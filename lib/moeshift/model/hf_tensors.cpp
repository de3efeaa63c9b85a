// SPDX-License-Identifier: Apache-2.0
// The tensors of one expert as a checkpoint of config.json's quantisation holds them.
#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "moeshift/model/hf_parts.hpp"

namespace moeshift {
namespace {

/// One matrix of an expert, [out, in].
struct Projection {
  std::string name;
  std::int64_t out = 0;
  std::int64_t in = 0;
};

/// Appends the tensors of one projection.
using Layout = std::function<void(const Projection&, std::vector<ExpertTensor>&)>;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

std::string dtype_named(const JsonReader& json) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNames = {
      {{"bfloat16", "bf16"},
       {"float16", "fp16"},
       {"float32", "fp32"},
       {"torch.bfloat16", "bf16"},
       {"torch.float16", "fp16"},
       {"float8_e4m3fn", "fp8_e4m3"}}};
  const std::string text = json.string();
  for (const auto& [name, dtype] : kNames) {
    if (text == name) return std::string(dtype);
  }
  json.fail("expected bfloat16, float16 or float32");
}

std::string weight_dtype(const HfConfig& config, std::vector<std::string>& assumed) {
  if (const auto dtype = config.find({"torch_dtype", "dtype"}); dtype && dtype->is_string()) {
    return dtype_named(*dtype);
  }
  assumed.emplace_back("torch_dtype is not given: bf16");
  return "bf16";
}

Layout plain(const std::string& dtype) {
  return [dtype](const Projection& p, std::vector<ExpertTensor>& tensors) {
    tensors.push_back(make_tensor(p.name + ".weight", {p.out, p.in}, dtype));
  };
}

/// One scale per block of the weight.
Layout scaled(const std::string& dtype, std::int64_t rows, std::int64_t columns,
              const std::string& scale, const std::string& scale_dtype) {
  return [=](const Projection& p, std::vector<ExpertTensor>& tensors) {
    tensors.push_back(make_tensor(p.name + ".weight", {p.out, p.in}, dtype));
    const std::int64_t down = rows == 0 ? 1 : ceil_div(p.out, rows);  // 0: one for the whole
    const std::int64_t across = columns == 0 ? 1 : ceil_div(p.in, columns);
    tensors.push_back(make_tensor(p.name + "." + scale, {down, across}, scale_dtype));
  };
}

/// NVFP4: a byte per 16 values and two figures per tensor.
Layout nvfp4() {
  const Layout blocks = scaled("fp4_e2m1", 1, 16, "weight_scale", "fp8_e4m3");
  return [blocks](const Projection& p, std::vector<ExpertTensor>& tensors) {
    blocks(p, tensors);
    tensors.push_back(make_tensor(p.name + ".weight_scale_2", {1}, "fp32"));
    tensors.push_back(make_tensor(p.name + ".input_scale", {1}, "fp32"));
  };
}

Layout mxfp4() {
  return scaled("fp4_e2m1", 1, 32, "weight_scale", "e8m0");
}

/// AWQ and GPTQ: groups along the input, a zero point and a scale for each.
Layout grouped_integers(std::int64_t bits, std::int64_t group, bool zeros, bool order) {
  const std::string dtype = bits == 8 ? "int8" : "int4";
  return [=](const Projection& p, std::vector<ExpertTensor>& tensors) {
    const std::int64_t groups = group <= 0 ? 1 : ceil_div(p.in, group);
    tensors.push_back(make_tensor(p.name + ".qweight", {p.in, p.out}, dtype));
    if (zeros) tensors.push_back(make_tensor(p.name + ".qzeros", {groups, p.out}, dtype));
    tensors.push_back(make_tensor(p.name + ".scales", {groups, p.out}, "fp16"));
    if (order) tensors.push_back(make_tensor(p.name + ".g_idx", {p.in}, "int32"));
  };
}

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

/// What the weights of a layer scheme are: {"num_bits", "type", "strategy", "group_size"}.
Layout of_scheme(const JsonReader& weights) {
  const std::int64_t bits = number(weights, "num_bits", 16);
  const std::string type = text(weights, "type");
  const std::string strategy = text(weights, "strategy");
  const std::int64_t group = number(weights, "group_size", 0);
  if (bits == 4 && type == "float") return group == 32 ? mxfp4() : nvfp4();
  const bool known =
      (bits == 8 && (type == "float" || type == "int")) || (bits == 4 && type == "int");
  if (!known) weights.fail("expected 4 or 8 bits of type int or float");
  const std::string dtype = bits == 4 ? "int4" : type == "int" ? "int8" : "fp8_e4m3";
  if (strategy == "block") {
    const JsonReader block = weights.at("block_structure");
    return scaled(dtype, block.at(std::size_t{0}).whole(1), block.at(std::size_t{1}).whole(1),
                  "weight_scale", "fp32");
  }
  const std::string scale = bits == 4 ? "bf16" : "fp32";
  if (strategy == "group")
    return scaled(dtype, 1, std::max<std::int64_t>(group, 1), "weight_scale", scale);
  if (strategy == "channel") return scaled(dtype, 1, 0, "weight_scale", scale);
  return scaled(dtype, 0, 0, "weight_scale", scale);  // one per tensor
}

/// compressed-tensors, and what writes as it does.
Layout by_groups(const HfConfig& config, const JsonReader& quantization,
                 std::vector<std::string>& assumed) {
  const auto weights = scheme_of_experts(config, quantization);
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

Layout modelopt(const HfConfig& config, const JsonReader& quantization,
                std::vector<std::string>& assumed) {
  const std::string algorithm = text(quantization, "quant_algo");
  if (algorithm.find("NVFP4") != std::string::npos) return nvfp4();
  if (algorithm == "FP8") return scaled("fp8_e4m3", 0, 0, "weight_scale", "fp32");
  if (quantization.has("config_groups")) return by_groups(config, quantization, assumed);
  quantization.fail("expected quant_algo NVFP4 or FP8");
}

Layout quark(const JsonReader& quantization) {
  const JsonReader weight = quantization.at("global_quant_config").at("weight");
  const std::string dtype = text(weight, "dtype");
  if (dtype == "fp4") return mxfp4();
  if (dtype != "fp8_e4m3") weight.at("dtype").fail("expected fp4 or fp8_e4m3");
  return text(weight, "qscheme") == "per_channel"
             ? scaled("fp8_e4m3", 1, 0, "weight_scale", "fp32")
             : scaled("fp8_e4m3", 0, 0, "weight_scale", "fp32");
}

Layout layout_of(const HfConfig& config, std::vector<std::string>& assumed) {
  const auto quantization = config.find({"quantization_config", "compression_config"});
  if (!quantization || leaves_experts_alone(config, *quantization, assumed)) {
    return plain(weight_dtype(config, assumed));
  }
  const std::string method = text(*quantization, "quant_method");
  const std::int64_t group = number(*quantization, "group_size", 128);
  if (method == "fp8" || method == "fbgemm_fp8") return fp8(config, *quantization);
  if (method == "mxfp4") return mxfp4();
  if (method == "compressed-tensors") return by_groups(config, *quantization, assumed);
  if (method.rfind("modelopt", 0) == 0) return modelopt(config, *quantization, assumed);
  if (method == "quark") return quark(*quantization);
  if (method == "awq") {
    return grouped_integers(number(*quantization, "bits", 4), group,
                            flag(*quantization, "zero_point", true), false);
  }
  if (method == "gptq") {
    return grouped_integers(number(*quantization, "bits", 4), group, true,
                            flag(*quantization, "desc_act", false));
  }
  quantization->fail(fmt::format(
      "quant_method '{}' is not known (fp8, mxfp4, compressed-tensors, modelopt, quark, awq, gptq "
      "are): write the tensors of an expert as in docs/configs.md",
      method));
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
  std::vector<Projection> projections;
  if (shape.fused) {
    projections.push_back({"gate_up_proj", 2 * shape.intermediate, shape.hidden});
  } else {
    if (shape.gated) projections.push_back({"gate_proj", shape.intermediate, shape.hidden});
    projections.push_back({"up_proj", shape.intermediate, shape.hidden});
  }
  projections.push_back({"down_proj", shape.hidden, shape.intermediate});
  const Layout layout = layout_of(config, assumed);
  std::vector<ExpertTensor> tensors;
  for (const Projection& projection : projections) {
    layout(projection, tensors);
    if (shape.bias)
      tensors.push_back(make_tensor(projection.name + ".bias", {projection.out}, "bf16"));
  }
  return tensors;
}

}  // namespace moeshift
