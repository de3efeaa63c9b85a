// SPDX-License-Identifier: Apache-2.0
// What an expert is made of: every tensor that must travel when it moves.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/expert_sizes.hpp"

namespace moeshift {

class JsonReader;

/// One tensor of one expert, scales included.
struct ExpertTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::string dtype;  ///< "bf16", "fp8_e4m3", "fp4_e2m1", "e8m0", "fp32", ...
  Bytes bytes;        ///< of the packed representation
};

/// A Mixture-of-Experts model as expert placement sees it.
struct MoeModel {
  std::string name;
  std::string description;
  std::string source;                     ///< where shapes and dtypes come from
  std::vector<std::string> repositories;  ///< "owner/name" on Hugging Face that hold just this
  std::size_t num_layers = 0;
  std::size_t num_experts = 0;
  std::size_t top_k = 0;
  std::size_t num_expert_groups = 1;
  std::size_t hidden_size = 0;
  std::vector<std::int64_t> layer_ids;  ///< the model's numbers of its MoE layers, [num_layers]
  std::optional<std::size_t> num_hidden_layers;  ///< dense layers included, draft layers not
  std::vector<std::int64_t> mtp_layer_ids;       ///< draft layers with experts, if known
  /// Experts that compute nothing (LongCat): tokens choose them too, no load counts them.
  std::size_t num_zero_experts = 0;
  std::size_t num_shared_experts = 0;  ///< every rank has them: they never move
  std::vector<ExpertTensor> expert_tensors;
  /// In models of mixed precision: of every expert, where that is not the sum of its tensors.
  std::optional<ExpertSizes> bytes_per_expert;

  /// Bytes of the tensors as they are listed.
  [[nodiscard]] Bytes expert_bytes() const;
  /// Bytes that move when one expert of one layer moves.
  [[nodiscard]] ExpertSizes expert_sizes() const {
    return bytes_per_expert.value_or(ExpertSizes(expert_bytes()));
  }
};

/// Reads a file of configs/models; its form is described in docs/configs.md.
/// @throws InputError naming the JSON pointer: missing or unknown keys (all of them in one
///         message), bytes that disagree with shape and dtype, layer_ids or bytes_per_expert of
///         another length, layers beyond num_hidden_layers that are no draft layers.
[[nodiscard]] MoeModel read_moe_model(const JsonReader& json);
/// The model of some of its layers, called by its own numbers of them. O(layers * experts).
/// @throws InputError naming the first number that it has not.
[[nodiscard]] MoeModel with_layers(MoeModel model, std::span<const std::int64_t> layer_ids);
/// The text of such a file; read_moe_model reads it back.
[[nodiscard]] std::string moe_model_text(const MoeModel& model);

/// Bits of one element of `dtype`; 0 for an unknown name.
[[nodiscard]] int bits_of_dtype(const std::string& dtype);

}  // namespace moeshift
