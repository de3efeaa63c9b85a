// SPDX-License-Identifier: Apache-2.0
// What several files of one recording say of themselves, as one header. Internal to formats/.
#pragma once

#include <string>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// Adds what `other` says to `into`; what may differ, and does, goes into its notes.
/// @throws InputError at `where` when they contradict each other.
void merge_header(TraceHeader& into, const TraceHeader& other, const std::string& where);

/// Adds the layers that only `other` has to `into`, by the model's numbers, which both must have,
/// each once, in any order. Layers ascend where any was added; else the order of `into` stays.
void unite_layers(TraceHeader& into, const TraceHeader& other);

/// The rows of `load`, a step of a trace with `from`, in the order of `to`'s layers; zero where
/// there is none. Rows that `from` does not number are those of `to`, ascending.
[[nodiscard]] LoadMatrix in_layers_of(LoadMatrix load, const TraceHeader& from,
                                      const TraceHeader& to);

}  // namespace moeshift
