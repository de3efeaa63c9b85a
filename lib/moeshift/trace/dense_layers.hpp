// SPDX-License-Identifier: Apache-2.0
// Recordings with a row for every layer of the model: the rows of dense layers are taken out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/formats/trace_format.hpp"
#include "moeshift/model/moe_model.hpp"

namespace moeshift {

/// What was taken out of a recording.
struct DenseLayers {
  std::vector<std::int64_t> ids;  ///< the model's numbers of the rows that never carry load
  std::size_t rows = 0;           ///< of the recording, these included
  bool whole = true;              ///< the whole recording was looked at
};

/// The steps of `reader` without the rows that never carry load: layers without experts, which
/// recorders of whole models (SGLang's) list as zeros. header().layer_ids keeps the numbers of the
/// others and num_hidden_layers how many there were.
///
/// A trace without layer_ids whose rows are more than the model's MoE layers has a row per hidden
/// layer, by its number. With `model`, its layers stay even where nothing was recorded for them.
///
/// Steps are read ahead until every row has carried load, or to the end; a recording in which one
/// never does is kept in memory up to kMostAhead, loaded rows only. After that the rows without
/// load are taken for dense, and one that carries load later is an error.
/// What was taken out goes into header().notes. A trace of routes is left as it is.
/// @param found takes the same; ids is empty when nothing was taken out.
/// @throws InfeasibleError when no row carries load, InputError when a row that is no layer of the
///         model does.
[[nodiscard]] std::unique_ptr<TraceReader> without_dense_layers(std::unique_ptr<TraceReader> reader,
                                                                const std::string& name,
                                                                const MoeModel* model,
                                                                DenseLayers* found = nullptr);

inline constexpr std::size_t kMostAhead = std::size_t{256} << 20U;  ///< bytes

/// "layers 0, 1 and 2 of 61 never carry load: taken out as dense layers"
[[nodiscard]] std::string to_string(const DenseLayers& dense);

}  // namespace moeshift
