// SPDX-License-Identifier: Apache-2.0
// A trace seen otherwise, step by step: differences of running totals, some layers, some steps,
// layers in another order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/formats/trace_format.hpp"
#include "moeshift/trace/window.hpp"

namespace moeshift {

/// What each layer counted since the step before. Where any count of a layer falls its counter
/// began anew: the step's own counts are the difference. The first step is taken as counted from
/// zero.
[[nodiscard]] std::unique_ptr<TraceReader> differences_of(std::unique_ptr<TraceReader> reader);

/// The layers of `layers` (by the model's numbers where the trace has them, else by row) in the
/// steps of `steps` (by position).
/// @throws InputError when no layer is left, or the trace ends before `steps` is full.
[[nodiscard]] std::unique_ptr<TraceReader> selection_of(std::unique_ptr<TraceReader> reader,
                                                        const StepRange& layers,
                                                        const StepRange& steps,
                                                        const std::string& name);

/// The rows `rows` of every step, in that order. @param layer_ids, num_hidden_layers what the
/// header says of them.
[[nodiscard]] std::unique_ptr<TraceReader> rows_of_trace(
    std::unique_ptr<TraceReader> reader, std::vector<std::size_t> rows,
    std::vector<std::int64_t> layer_ids, std::optional<std::size_t> num_hidden_layers);

}  // namespace moeshift
