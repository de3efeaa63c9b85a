// SPDX-License-Identifier: Apache-2.0
// A model as its checkpoint describes it: the config.json of Hugging Face.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/moe_model.hpp"

namespace moeshift {

/// A file of the checkpoint beside config.json that tells of its quantisation: hf_quant_config.json
/// (ModelOpt), quant_model_description.json (MindIE, vllm-ascend), quant_config.json (AutoAWQ),
/// quantize_config.json (AutoGPTQ), quantization_config.json.
struct HfBeside {
  std::string file;
  JsonReader json;
};

/// True for the names above; MindIE's may end in "_w8a8.json" and the like.
[[nodiscard]] bool is_beside_config(std::string_view file);

/// What the user knows and config.json does not say.
struct HfImportOptions {
  std::string name;       ///< of the model made
  std::string source;     ///< where config.json came from; goes into MoeModel::source
  bool with_mtp = false;  ///< count the draft (multi-token prediction) layers as layers too
  std::vector<HfBeside> beside =
      {};  ///< read where config.json says nothing, compared where it does
};

/// A model and what was assumed where config.json is silent.
struct HfImport {
  MoeModel model;
  std::vector<std::string> assumed;  ///< one sentence each
};

/// Reads which layers are MoE layers, how many experts they have, and every tensor of one expert.
///
/// Layers are found by whichever key the family uses: first_k_dense_replace and moe_layer_freq
/// (DeepSeek, GLM, Kimi), mlp_only_layers and decoder_sparse_step (Qwen), interleave_moe_layer_step
/// or moe_layers (Llama 4), moe_layer_{start,end}_index and moe_layer_interval (Ernie),
/// hybrid_override_pattern or layers_block_type (Nemotron-H), mlp_layer_types, a moe_layer_freq of
/// one figure per layer, expert_layer_period (Jamba), moe_layer_frequency (Arctic); several must
/// agree. Parts of multimodal models are looked for in text_config. Tensors follow the way the
/// checkpoint is quantised: none, fp8 (blocks, channels or whole tensors), mxfp4, nvfp4,
/// compressed-tensors, modelopt, awq, gptq, quark, w4afp8, MindIE's. Layers that the quantiser
/// spares get bytes of their own (MoeModel::bytes_per_expert).
///
/// What engines keep in fp32 (scales of fp8) is counted as fp32, although some checkpoints store it
/// in 16 bits.
/// @throws InputError for a model without experts, keys that are needed and missing (all of them,
///         each by all the names under which it was looked for), keys that contradict each other,
///         and a quantisation that is not known or differs between experts.
[[nodiscard]] HfImport import_hf_config(const JsonReader& config, const HfImportOptions& options);

}  // namespace moeshift
