// SPDX-License-Identifier: Apache-2.0
// Whether a recording or a plan is of the model that it is read for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "moeshift/model/moe_model.hpp"

namespace moeshift::cli {

class Session;

/// What a file states of its layers; empty = it does not say.
struct StatedLayers {
  std::string who;  ///< "the trace", or the name of a file
  std::span<const std::int64_t> ids = {};
  std::optional<std::size_t> num_hidden_layers = {};
};

/// Layers that a file names are layers with experts of the model, and both count as many hidden
/// layers; a file may count the model's draft layers among them. A file may name some of the
/// layers only (a pipeline stage), which is said in a line.
/// @throws InputError on --model, with the next step.
void check_layers_of(Session& session, const MoeModel& model, const StatedLayers& stated);

/// Says in a line that a file names some of the model's layers with experts only.
void mention_missing_layers(Session& session, const MoeModel& model, const StatedLayers& stated);

/// Says in a line that `recorded`, the model that `who` names, is clearly another than `model`.
/// Only names of shipped models and of Hugging Face are compared: others are whatever their
/// writers liked. Precisions of one model are one model.
void mention_other_model(Session& session, const std::string& who, const std::string& recorded,
                         const std::string& model);

/// "deepseek-ai/DeepSeek-V3" as configurations are called: "deepseek_v3".
[[nodiscard]] std::string as_configuration(const std::string& model);

}  // namespace moeshift::cli
