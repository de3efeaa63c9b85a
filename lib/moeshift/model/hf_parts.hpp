// SPDX-License-Identifier: Apache-2.0
// What the readers of config.json share. Internal to model/.
#pragma once

#include <cstdint>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/moe_model.hpp"

namespace moeshift {

/// Names under which families write one thing.
using HfKeys = std::vector<std::string_view>;

/// The part of config.json that describes the language model, and the whole.
struct HfConfig {
  JsonReader text;
  JsonReader top;

  /// The first of `keys` that has a value which is not null, in the text part or the whole.
  [[nodiscard]] std::optional<JsonReader> find(const HfKeys& keys) const;
  /// The same as a whole number >= 1; a list of equal numbers counts as that number, of a list
  /// per modality the first.
  /// @throws InputError naming all of `keys` when none is there.
  [[nodiscard]] std::int64_t count(const HfKeys& keys) const;
  /// The same, or nothing when the key is missing, null or 0.
  [[nodiscard]] std::optional<std::int64_t> find_count(const HfKeys& keys) const;
  [[nodiscard]] std::string family() const;  ///< model_type; "" where it is missing
  /// ERNIE-VL writes two figures, for experts of text and of images: those of text are read.
  [[nodiscard]] bool is_per_modality(const JsonReader& value) const;
};

/// The numbers of the MoE layers and of all.
struct HfLayers {
  std::vector<std::int64_t> moe;
  std::size_t all = 0;
  std::vector<std::int64_t> mtp;  ///< draft layers with experts, numbered after the others
};
[[nodiscard]] HfLayers hf_layers(const HfConfig& config);
/// True when config.json says how many layers there are.
[[nodiscard]] bool hf_says_layers(const HfConfig& config);

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

/// Routed experts of a layer.
[[nodiscard]] std::int64_t hf_num_experts(const HfConfig& config);

/// What to do where config.json does not say enough; ends a message.
inline constexpr std::string_view kWriteTensors =
    "write the tensors of an expert as in docs/configs.md";

/// Modules as a quantiser names them: "re:" and a regular expression that matches from the start
/// (compressed-tensors, quark), a wildcard (ModelOpt, quark), or a name, of which parts do too.
class ModulePattern {
 public:
  explicit ModulePattern(std::string text);
  /// A bare regular expression (GPTQModel).
  [[nodiscard]] static ModulePattern regex(const std::string& expression);

  /// True when experts of the layer have the projection ("up_proj") among those modules.
  [[nodiscard]] bool covers(std::int64_t layer, std::string_view projection) const;
  /// False where it covers either all layers or none. Cheap.
  [[nodiscard]] bool tells_layers_apart() const;
  /// False for regular expressions of Python that are none here.
  [[nodiscard]] bool readable() const { return readable_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  /// The only layer it can be about.
  [[nodiscard]] std::optional<std::int64_t> layer() const { return layer_; }

 private:
  void compile(const std::string& expression);

  std::string text_;
  std::optional<std::int64_t> layer_;
  std::optional<std::regex> regex_;
  bool readable_ = true;
};

[[nodiscard]] bool is_about_experts(const std::string& name);
/// The layer in "model.layers.3.mlp.experts" or "layers\.3\."; nothing where it may be any.
[[nodiscard]] std::optional<std::int64_t> layer_in(const std::string& name);
/// True for every name of the projection: "w1" is "gate_proj".
[[nodiscard]] bool is_projection(std::string_view name, std::string_view projection);

/// Of each projection the MoE layers, ascending, whose experts keep it as it was trained; patterns
/// that are not understood are told in `assumed`. O(patterns * layers).
[[nodiscard]] std::vector<std::vector<std::int64_t>> layers_left_alone(
    const HfConfig& config, const JsonReader& quantization,
    const std::vector<std::string>& projections, std::vector<std::string>& assumed);
/// The "weights" of that group of compressed-tensors' config_groups whose targets are experts, or
/// else linear layers; nothing where experts are not quantised.
/// @throws InputError where several groups would do and differ, or layers do.
[[nodiscard]] std::optional<JsonReader> scheme_of_experts(const HfConfig& config,
                                                          const JsonReader& quantization,
                                                          const std::string& projection);

/// A tensor whose bytes follow from shape and dtype. @throws InputError for an unknown dtype.
[[nodiscard]] ExpertTensor make_tensor(std::string name, std::vector<std::int64_t> shape,
                                       std::string dtype);

}  // namespace moeshift
