// SPDX-License-Identifier: Apache-2.0
// What the readers of config.json share. Internal to model/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/checkpoint/hf_config.hpp"
#include "moeshift/model/moe_model.hpp"

namespace moeshift {

/// Names under which families write one thing.
using HfKeys = std::vector<std::string_view>;

/// Routed experts of a layer, how many of them a token chooses, the width of one where it has a key
/// of its own.
[[nodiscard]] HfKeys hf_keys_of_experts();
[[nodiscard]] HfKeys hf_keys_of_top_k();
[[nodiscard]] HfKeys hf_keys_of_own_width();

/// The numbers of the MoE layers and of all.
struct HfLayers {
  std::vector<std::int64_t> moe;
  std::size_t all = 0;
  std::vector<std::int64_t> mtp;          ///< draft layers with experts, numbered after the others
  std::vector<std::int64_t> with_drafts;  ///< `moe` and `mtp`
  std::vector<std::int64_t> counted;      ///< what the model made has
};

/// The part of config.json that describes the language model, and the whole.
struct HfConfig {
  JsonReader text;
  JsonReader top;
  HfLayers layers = {};  ///< once they are read

  /// The first of `keys` that has a value which is not null, in the text part or the whole.
  /// @throws InputError where both have it and differ.
  [[nodiscard]] std::optional<JsonReader> find(const HfKeys& keys) const;
  /// The same as a whole number >= 1; a list of equal numbers counts as that number, of a list
  /// per modality the first.
  /// @throws InputError naming all of `keys` when none is there.
  [[nodiscard]] std::int64_t count(const HfKeys& keys) const;
  /// The same, or nothing when the key is missing, null or 0.
  [[nodiscard]] std::optional<std::int64_t> find_count(const HfKeys& keys) const;
  /// The same of one value.
  [[nodiscard]] std::optional<std::int64_t> count_at(const JsonReader& found) const;
  /// count() where all of `keys` that are there, in the text part and the whole, say the same.
  [[nodiscard]] std::size_t one_count(const HfKeys& keys) const;
  [[nodiscard]] std::string family() const;  ///< model_type; "" where it is missing
  /// ERNIE-VL writes two figures, for experts of text and of images: those of text are read.
  [[nodiscard]] bool is_per_modality(const JsonReader& value) const;

 private:
  void require_same_on_top(std::string_view key, const JsonReader& found) const;
};

/// @param with_drafts the user asks for draft layers.
/// @param assumed takes a sentence for each key that is not read and each layer that is assumed.
/// @throws InputError where keys contradict each other or name layers that are not there.
[[nodiscard]] HfLayers hf_layers(const HfConfig& config, bool with_drafts,
                                 std::vector<std::string>& assumed);
/// True when config.json says how many layers there are.
[[nodiscard]] bool hf_says_layers(const HfConfig& config);

/// Lists of one dictionary per layer may say of a layer's experts what the model says of all.
/// @param assumed takes a sentence for each key about experts in them that is not read.
/// @throws InputError where one says otherwise.
void refuse_own_blocks(const HfConfig& config, std::vector<std::string>& assumed);

/// What one expert computes.
struct ExpertShape {
  std::int64_t hidden = 0;  ///< what goes in and comes out: hidden_size, or the latent size
  std::int64_t intermediate = 0;
  bool gated = true;   ///< gate, up and down; else up and down only
  bool fused = false;  ///< gate and up are one tensor
  bool bias = false;
};

/// A quantisation and where it is stated.
struct HfQuantization {
  std::string name;  ///< "quantization_config", or a file's
  JsonReader json;
  std::string method;   ///< in small letters, "mindie" for the key quantize
  bool beside = false;  ///< it is a file beside config.json
};
/// All that state one, the one that engines read first: MindIE's key, config.json, files beside.
/// Of a text part's own, that other ones are read before (vLLM, get_config), it is told only.
/// @throws InputError where config.json has two that differ and no engine says which it takes.
[[nodiscard]] std::vector<HfQuantization> hf_quantizations(const HfConfig& config,
                                                           const std::vector<HfBeside>& beside,
                                                           std::vector<std::string>& assumed);

/// Experts as the checkpoint holds them.
struct HfExperts {
  std::vector<ExpertTensor> tensors;  ///< of most layers
  std::vector<Bytes> bytes;           ///< of one expert, for every layer with_drafts
};
/// @param assumed takes a sentence for each thing that config.json does not say.
/// @throws InputError where a file beside config.json contradicts it.
[[nodiscard]] HfExperts hf_experts(const HfConfig& config, const ExpertShape& shape,
                                   const std::vector<HfBeside>& beside,
                                   std::vector<std::string>& assumed);

/// Routed experts of a layer.
[[nodiscard]] std::int64_t hf_num_experts(const HfConfig& config);

/// What to do where config.json does not say enough; ends a message.
inline constexpr std::string_view kWriteTensors =
    "write the tensors of an expert as in docs/configs.md";

/// Full names that projections of experts may have, made once: of the first expert of a layer and
/// of the module of all experts. Draft layers are called "mtp.layers.0" too.
class ExpertNames {
 public:
  explicit ExpertNames(const HfConfig& config)
      : layers_(static_cast<std::int64_t>(config.layers.all)) {}
  [[nodiscard]] const std::vector<std::string>& of(std::int64_t layer, std::string_view projection);
  /// Which of the draft layers it is.
  [[nodiscard]] std::optional<std::int64_t> draft(std::int64_t layer) const;

 private:
  std::int64_t layers_;
  std::map<std::pair<std::int64_t, std::string_view>, std::vector<std::string>> names_;
};

/// Modules as a quantiser names them: "re:" and a regular expression that matches from the start
/// (compressed-tensors, quark), a wildcard (ModelOpt, quark), or a name, of which parts do too.
class ModulePattern {
 public:
  explicit ModulePattern(std::string text);
  /// A bare regular expression (GPTQModel).
  [[nodiscard]] static ModulePattern regex(const std::string& expression);

  /// True when experts of the layer have the projection ("up_proj") among those modules.
  [[nodiscard]] bool covers(ExpertNames& names, std::int64_t layer,
                            std::string_view projection) const;
  /// False where it covers either all layers or none. Cheap.
  [[nodiscard]] bool tells_layers_apart() const;
  /// False for regular expressions of Python that are none here.
  [[nodiscard]] bool readable() const { return readable_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  /// The only layer it can be about, by its number in the model.
  [[nodiscard]] std::optional<std::int64_t> layer() const { return layer_; }

 private:
  void compile(const std::string& expression);

  std::string text_;
  std::optional<std::int64_t> layer_;
  std::optional<std::int64_t> draft_;  ///< the only draft layer it can be about
  bool of_drafts_ = false;             ///< "mtp.layers.0"
  std::optional<std::regex> regex_;
  bool readable_ = true;
};

[[nodiscard]] bool is_about_experts(const std::string& name);
/// The layer in "model.layers.3.mlp.experts" or "layers\.3\."; nothing where it may be any.
[[nodiscard]] std::optional<std::int64_t> layer_in(const std::string& name);
/// Of a module in or of a layer's experts; "mtp.layers.0" by its number in the model.
[[nodiscard]] std::optional<std::int64_t> expert_layer_in(const HfConfig& config,
                                                          const std::string& name);
/// True for every name of the projection: "w1" is "gate_proj".
[[nodiscard]] bool is_projection(std::string_view name, std::string_view projection);

/// Of each projection the layers `with_drafts` whose experts keep it as it was trained; patterns
/// that are not understood are told in `assumed`. O(patterns * layers).
[[nodiscard]] std::vector<std::set<std::int64_t>> layers_left_alone(
    const HfConfig& config, const HfQuantization& quantization,
    const std::vector<std::string>& projections, std::vector<std::string>& assumed);

/// How compressed-tensors stores weights.
struct ExpertScheme {
  JsonReader weights;
  std::string format;  ///< of the group, or else of all

  /// The same layout.
  [[nodiscard]] bool operator==(const ExpertScheme& other) const;
};
/// That of the group of config_groups whose targets are experts, or else linear layers; nothing
/// where experts are not quantised.
/// @throws InputError where several groups would do and differ, or layers do.
[[nodiscard]] std::optional<ExpertScheme> scheme_of_experts(const HfConfig& config,
                                                            const JsonReader& quantization,
                                                            const std::string& projection);
/// True when the lists "targets" and "ignore" of `json` leave experts in.
[[nodiscard]] bool covers_experts(const HfConfig& config, const JsonReader& json,
                                  const std::string& projection);
/// Types of experts' weights per layer, in vllm-ascend's list of tensors.
[[nodiscard]] std::map<std::int64_t, std::set<std::string>> ascend_types(
    const HfConfig& config, const JsonReader& quantization);

/// A tensor whose bytes follow from shape and dtype. @throws InputError for an unknown dtype.
[[nodiscard]] ExpertTensor make_tensor(std::string name, std::vector<std::int64_t> shape,
                                       std::string dtype);

}  // namespace moeshift
