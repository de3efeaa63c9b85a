// SPDX-License-Identifier: Apache-2.0
// compressed-tensors, and what writes as it does.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "moeshift/model/checkpoint/hf_layouts.hpp"

namespace moeshift {
namespace {

/// How many weights share a scale: rows and columns of a block, 0 for all.
std::pair<std::int64_t, std::int64_t> block_of(const JsonReader& weights) {
  const std::string strategy = hf_text(weights, "strategy");
  if (strategy == "block") {
    const JsonReader block = weights.at("block_structure");
    return {block.at(std::size_t{0}).whole(1), block.at(std::size_t{1}).whole(1)};
  }
  const std::int64_t group = hf_number(weights, "group_size", 0);
  if (strategy == "group" || (strategy.empty() && group > 0)) {
    return {1, std::max<std::int64_t>(group, 1)};
  }
  if (strategy == "channel") return {1, 0};
  return {0, 0};  // one per tensor
}

/// Inputs ordered by how much they matter: the group of each is stored, unless the weights were
/// sorted instead ("weight", "static").
Layout with_order(const JsonReader& weights, Layout layout) {
  const std::string order = hf_text(weights, "actorder");
  if (order != "group" && order != "dynamic") return layout;
  return [layout = std::move(layout)](const Projection& p, std::vector<ExpertTensor>& tensors) {
    layout(p, tensors);
    tensors.push_back(make_tensor(p.name + ".weight_g_idx", {p.in}, "int32"));
  };
}

/// Whole numbers: packed into words, or a byte for each, however few bits it has.
Layout integers(const ExpertScheme& scheme, std::int64_t bits) {
  const bool bytewise = scheme.format == "int-quantized" || scheme.format == "naive-quantized";
  const auto [rows, columns] = block_of(scheme.weights);
  return with_order(scheme.weights, scaled(bits == 4 && !bytewise ? "int4" : "int8", rows, columns,
                                           "weight_scale", bits == 4 ? "bf16" : "fp32",
                                           !hf_flag(scheme.weights, "symmetric", true)));
}

/// MXFP8 has a power of two, one byte, per 32 values (compressed-tensors,
/// MXFP8QuantizationCompressor); groups of 32 in other formats have scales as others do.
Layout eight_bit_floats(const ExpertScheme& scheme) {
  const auto [rows, columns] = block_of(scheme.weights);
  const bool bytes = scheme.format == "mxfp8-quantized" || scheme.format.empty() ||
                     hf_text(scheme.weights, "scale_dtype").ends_with("uint8");
  const bool mx = rows == 1 && columns == 32 && bytes;
  return scaled("fp8_e4m3", rows, columns, "weight_scale", mx ? "e8m0" : "fp32");
}

Layout four_bit_floats(const JsonReader& weights) {
  const std::int64_t group = hf_number(weights, "group_size", 0);
  if (group == 32) return mxfp4();
  if (group == 16) return nvfp4();
  weights.fail(fmt::format(
      "floats of 4 bits share a scale in groups of 16 (NVFP4) or 32 (MXFP4), not {}: {}",
      group == 0 ? "as is told here" : std::to_string(group), kWriteTensors));
}

/// What may be stored so: compressed-tensors, CompressionFormat and its compressors.
bool fits(const std::string& format, std::int64_t bits, const std::string& type) {
  const bool whole = type == "int";
  if (format.empty() || format == "mixed-precision") return true;
  if (format == "pack-quantized" || format == "int-quantized") return whole;
  if (format == "naive-quantized") return whole || bits == 8;
  if (format == "float-quantized" || format == "mxfp8-quantized") return !whole && bits == 8;
  if (format == "nvfp4-pack-quantized" || format == "mxfp4-pack-quantized") {
    return !whole && bits == 4;
  }
  return false;
}

Layout of_scheme(const ExpertScheme& scheme) {
  const JsonReader& weights = scheme.weights;
  const std::int64_t bits = hf_number(weights, "num_bits", 16);
  const std::string type = hf_text(weights, "type");
  const bool known = (bits == 8 || bits == 4) && (type == "float" || type == "int");
  if (!known) {
    weights.fail(fmt::format("expected 4 or 8 bits of type int or float: {}", kWriteTensors));
  }
  if (!fits(scheme.format, bits, type)) {
    weights.fail(fmt::format("how {} bits of type {} are stored in format '{}' is not known: {}",
                             bits, type, scheme.format, kWriteTensors));
  }
  if (type == "int") return integers(scheme, bits);
  return bits == 8 ? eight_bit_floats(scheme) : four_bit_floats(weights);
}

/// Weights of which a half is left out are stored with a mask: how is not counted here.
void refuse_sparse(const HfConfig& config, const JsonReader& quantization,
                   const std::string& projection) {
  const auto sparsity = quantization.find("sparsity_config");
  if (!sparsity || !sparsity->is_object()) return;
  const std::string format = hf_text(*sparsity, "format");
  if (format.empty() || format == "dense") return;
  if (!covers_experts(config, *sparsity, projection)) return;
  sparsity->fail(
      fmt::format("experts are stored as '{}', without what is zero: that is not "
                  "counted here; {}",
                  format, kWriteTensors));
}

}  // namespace

Layout compressed_tensors(const HfConfig& config, const JsonReader& quantization,
                          const std::string& projection, std::vector<std::string>& assumed) {
  refuse_sparse(config, quantization, projection);
  const std::string dtype = weight_dtype(config, assumed);
  const auto groups = quantization.find("config_groups");
  const bool none = !groups || groups->is_null() || groups->keys().empty();
  if (none && hf_text(quantization, "format") == "dense") return plain(dtype);
  const auto scheme = scheme_of_experts(config, quantization, projection);
  if (!scheme) return plain(dtype);
  if (scheme->format != "dense") return of_scheme(*scheme);
  assumed.emplace_back(
      "format dense: weights are stored as they were trained, however they are quantised");
  return plain(dtype);
}

}  // namespace moeshift
