// SPDX-License-Identifier: Apache-2.0
// A trace seen otherwise, step by step: differences of running totals, some layers, some steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

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

}  // namespace moeshift
