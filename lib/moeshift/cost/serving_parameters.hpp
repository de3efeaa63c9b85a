// SPDX-License-Identifier: Apache-2.0
// What a step of serving costs, per model and machine.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/model/moe_model.hpp"

namespace moeshift {

class JsonReader;

/// A machine as a serving engine sees it: a file of configs/serving.
struct ServingMachine {
  std::string name;
  std::string source;
  /// dtype of the expert weights -> achieved operations per second of grouped matrix products.
  std::map<std::string, double> flops_per_second;
  BytesPerSecond memory;       ///< achieved rate of reading weights
  Seconds step_fixed;          ///< scheduler, sampling, embeddings: once per step
  Seconds layer_fixed;         ///< launches, KV cache, normalisation, gate: once per layer
  double dispatch_bytes = 1;   ///< per element of a hidden state on its way to an expert
  double combine_bytes = 2;    ///< and on its way back
  bool once_per_node = false;  ///< a token crosses to a remote node once, not per expert there
  double overlap = 0;          ///< share of min(compute, communication) that is hidden, in [0, 1]
};

/// @throws InputError naming the JSON pointer.
[[nodiscard]] ServingMachine read_serving_machine(const JsonReader& json);

/// Busiest rank's tokens in a layer -> that layer's seconds, measured; linear in between and
/// beyond.
struct MeasuredLayerTime {
  std::vector<std::pair<double, Seconds>> points;  ///< ascending, at least two

  [[nodiscard]] Seconds at(double tokens) const;
};

/// One model on one machine; all times are of one rank.
struct ServingParameters {
  Seconds step_fixed;
  Seconds layer_fixed;
  Seconds dense_per_token;    ///< attention and shared experts of one layer, per token of the rank
  Seconds dense_floor;        ///< reading the weights of those, however few the tokens
  Seconds expert_per_token;   ///< one token in one expert
  Seconds expert_floor;       ///< reading one expert's weights once
  double dispatch_bytes = 0;  ///< per token and expert
  double combine_bytes = 0;   ///< likewise
  bool once_per_node = false;
  double overlap = 0;
  std::optional<MeasuredLayerTime> measured;  ///< replaces everything of a layer but layer_fixed
};

/// Derives the parameters: an expert is 2 operations per weight and token; what is not expert is
/// taken as 4 hidden^2 weights per layer (DeepSeek-V3: 206 M by the rule, 187 M in fact;
/// Qwen3-235B: 67 M and 71 M).
/// @throws InputError when the machine has no rate for the model's dtype.
[[nodiscard]] ServingParameters serving_parameters(const ServingMachine& machine,
                                                   const MoeModel& model);

/// Reads {"step_fixed_seconds", "layer_seconds": [[tokens, seconds], ...], "source"} of
/// --step-time-file into `parameters`.
/// @throws InputError naming the JSON pointer: fewer than two points, tokens not ascending.
void read_measured_step_time(const JsonReader& json, ServingParameters& parameters);

}  // namespace moeshift
