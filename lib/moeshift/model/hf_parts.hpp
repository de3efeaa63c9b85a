// SPDX-License-Identifier: Apache-2.0
// What the readers of config.json share. Internal to model/.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/moe_model.hpp"

namespace moeshift {

/// The part of config.json that describes the language model, and the whole.
struct HfConfig {
  JsonReader text;
  JsonReader top;

  /// The first of `keys` that has a value which is not null, in the text part or the whole.
  [[nodiscard]] std::optional<JsonReader> find(std::initializer_list<std::string_view> keys) const;
  /// The same as a whole number >= 1; a list of equal numbers counts as that number.
  /// @throws InputError naming all of `keys` when none is there.
  [[nodiscard]] std::int64_t count(std::initializer_list<std::string_view> keys) const;
  /// The same, or nothing when the key is missing, null or 0.
  [[nodiscard]] std::optional<std::int64_t> find_count(
      std::initializer_list<std::string_view> keys) const;
  [[nodiscard]] std::string family() const;  ///< model_type; "" where it is missing
};

/// The numbers of the MoE layers and of all.
struct HfLayers {
  std::vector<std::int64_t> moe;
  std::size_t all = 0;
  std::vector<std::int64_t> mtp;  ///< draft layers with experts, numbered after the others
};
[[nodiscard]] HfLayers hf_layers(const HfConfig& config);

/// What one expert computes.
struct ExpertShape {
  std::int64_t hidden = 0;  ///< what goes in and comes out: hidden_size, or the latent size
  std::int64_t intermediate = 0;
  bool gated = true;   ///< gate, up and down; else up and down only
  bool fused = false;  ///< gate and up are one tensor
  bool bias = false;
};

/// The tensors of one expert in the checkpoint's precision.
/// @param assumed takes a sentence for each thing that config.json does not say.
[[nodiscard]] std::vector<ExpertTensor> hf_expert_tensors(const HfConfig& config,
                                                          const ExpertShape& shape,
                                                          std::vector<std::string>& assumed);

/// True when experts stay as they were trained, in all MoE layers; of some layers alone a sentence
/// of `assumed` tells.
[[nodiscard]] bool leaves_experts_alone(const HfConfig& config, const JsonReader& quantization,
                                        std::vector<std::string>& assumed);
/// The "weights" of that group of compressed-tensors' config_groups whose targets are experts, or
/// else linear layers; nothing where experts are not quantised.
/// @throws InputError where several groups would do and differ.
[[nodiscard]] std::optional<JsonReader> scheme_of_experts(const HfConfig& config,
                                                          const JsonReader& quantization);

/// A tensor whose bytes follow from shape and dtype. @throws InputError for an unknown dtype.
[[nodiscard]] ExpertTensor make_tensor(std::string name, std::vector<std::int64_t> shape,
                                       std::string dtype);

}  // namespace moeshift
