// SPDX-License-Identifier: Apache-2.0
// What one projection of an expert is stored as. Internal to model/.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/model/checkpoint/hf_parts.hpp"

namespace moeshift {

/// One matrix of an expert, [out, in].
struct Projection {
  std::string name;
  std::int64_t out = 0;
  std::int64_t in = 0;
};

/// Appends the tensors of one projection.
using Layout = std::function<void(const Projection&, std::vector<ExpertTensor>&)>;

/// The weight alone.
[[nodiscard]] Layout plain(const std::string& dtype);
/// A weight and a scale for every block of it; 0 rows or columns: the block is as high or wide as
/// the whole. With `zeros` a zero point of the weight's dtype beside each scale.
[[nodiscard]] Layout scaled(const std::string& dtype, std::int64_t rows, std::int64_t columns,
                            const std::string& scale, const std::string& scale_dtype,
                            bool zeros = false);
/// A byte per `group` values and two figures per tensor.
[[nodiscard]] Layout nvfp4(std::int64_t group = 16);
/// A power of two for every 32 values.
[[nodiscard]] Layout mxfp4();
/// AWQ and GPTQ: groups along the input, with `zeros` a zero point for each, with `order` the
/// group of every input.
[[nodiscard]] Layout grouped_integers(std::int64_t bits, std::int64_t group, bool zeros,
                                      bool order);

/// torch_dtype of the checkpoint; bf16 is assumed.
[[nodiscard]] std::string weight_dtype(const HfConfig& config, std::vector<std::string>& assumed);

/// A member of `json` that may be missing or null.
[[nodiscard]] bool hf_flag(const JsonReader& json, std::string_view key, bool otherwise);
[[nodiscard]] std::int64_t hf_number(const JsonReader& json, std::string_view key,
                                     std::int64_t otherwise);
[[nodiscard]] std::string hf_text(const JsonReader& json, std::string_view key);

/// How the checkpoint stores `projection` in layers that its quantisation covers.
/// @throws InputError for a quantisation that is not known and one that differs among experts.
[[nodiscard]] Layout quantized_layout(const HfConfig& config, const HfQuantization& quantization,
                                      const std::string& projection,
                                      std::vector<std::string>& assumed);

/// The ways of single quantisers. Parameters and errors as quantized_layout().
[[nodiscard]] Layout compressed_tensors(const HfConfig& config, const JsonReader& quantization,
                                        const std::string& projection,
                                        std::vector<std::string>& assumed);
[[nodiscard]] Layout modelopt(const HfConfig& config, const HfQuantization& quantization,
                              const std::string& projection, std::vector<std::string>& assumed);
[[nodiscard]] Layout quark(const HfConfig& config, const JsonReader& quantization,
                           const std::string& projection, std::vector<std::string>& assumed);
[[nodiscard]] Layout gptq(const HfConfig& config, const JsonReader& quantization,
                          const std::string& projection, std::vector<std::string>& assumed);
[[nodiscard]] Layout auto_round(const HfConfig& config, const JsonReader& quantization,
                                const std::string& projection, std::vector<std::string>& assumed);
/// Modules that its extra_config leaves as they were trained.
[[nodiscard]] std::vector<ModulePattern> spared_by_auto_round(const JsonReader& quantization);
/// vllm-ascend's list of all tensors and their types (quant_model_description.json).
[[nodiscard]] Layout ascend(const HfConfig& config, const JsonReader& quantization,
                            std::vector<std::string>& assumed);
/// What Huawei's MindIE calls it in the key "quantize"; nothing where that says that weights are as
/// they were trained.
[[nodiscard]] std::optional<Layout> mindie(const HfConfig& config, const JsonReader& type,
                                           std::vector<std::string>& assumed);

}  // namespace moeshift
