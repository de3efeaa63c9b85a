// SPDX-License-Identifier: Apache-2.0
// Is this traffic prefill or decode?
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "moeshift/model/load.hpp"
#include "moeshift/trace/drift.hpp"

namespace moeshift {

enum class TrafficPhase { kPrefill, kDecode, kUnknown };

/// "prefill", "decode", "unknown".
[[nodiscard]] std::string_view name_of(TrafficPhase phase);

struct PhaseGuess {
  TrafficPhase phase = TrafficPhase::kUnknown;
  bool stated = false;                ///< the recording says so; else it is a guess
  std::vector<std::string> evidence;  ///< what speaks for and against
};

/// A header that says "phase" is believed. Otherwise: many tokens per step speak for prefill (or
/// for steps that are sums of forward passes), few for decode; neighbouring steps that resemble
/// each other more than the whole trace does speak for decode, where a request stays in the batch
/// for hundreds of steps.
/// @param tokens mean per step.
[[nodiscard]] PhaseGuess guess_phase(const TraceHeader& header, double tokens,
                                     const TrafficDrift& drift);

}  // namespace moeshift
