// SPDX-License-Identifier: Apache-2.0
// Tokens per (layer, logical expert), of one recorded step or of a window of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moeshift/core/matrix.hpp"

namespace moeshift {

/// [layers, experts] tokens. Recorded loads are whole numbers (exact up to 2^53); forecasts and
/// means need not be. Finite and >= 0.
using LoadMatrix = IdMatrix<LayerId, ExpertId, double>;

/// One recorded load sample.
struct TraceStep {
  std::int64_t step = 0;
  std::optional<std::string> label;
  LoadMatrix load;
  /// Every other key of the step, as one JSON object text; kept so that a conversion loses nothing.
  std::string other_json = "{}";
};

/// What a trace says of itself: one header, then steps of exactly this shape.
struct TraceHeader {
  std::string model;
  std::size_t num_layers = 0;
  std::size_t num_experts = 0;
  std::optional<std::size_t> top_k;
  std::optional<std::size_t> num_expert_groups;
  std::vector<std::int64_t> layer_ids;   ///< the model's own layer numbers; empty = 0 .. layers-1
  std::optional<std::size_t> num_ranks;  ///< of the world that was recorded
  /// Layers of the model, dense ones included and draft ones not, where the recording shows it.
  std::optional<std::size_t> num_hidden_layers = {};
  std::optional<std::size_t> num_slots = {};  ///< per layer over all ranks, of that world
  std::optional<std::size_t> num_nodes = {};  ///< that its ranks sat in
  std::string source;
  std::string licence;
  /// What the reader took for granted or left out: lines for the user, never silent.
  std::vector<std::string> notes;
  /// Every other key of the header, as one JSON object text; kept so that a conversion loses
  /// nothing.
  std::string other_json = "{}";
};

/// The model's own number of a layer; its position where the trace does not say it.
[[nodiscard]] std::int64_t layer_id_of(const TraceHeader& trace, std::size_t layer);

/// The sum of `loads`, which must agree in shape. At least one.
[[nodiscard]] LoadMatrix sum_of(std::span<const LoadMatrix> loads);
/// The mean of `loads`.
[[nodiscard]] LoadMatrix mean_of(std::span<const LoadMatrix> loads);
/// Total tokens of one layer.
[[nodiscard]] double layer_total(const LoadMatrix& load, LayerId layer);
/// Layers that carry load. A layer that carries none (nothing was recorded for it in this window)
/// counts in no mean over layers.
[[nodiscard]] std::size_t loaded_layers(const LoadMatrix& load);

}  // namespace moeshift
