// SPDX-License-Identifier: Apache-2.0
// A timeline as Chrome trace events, for ui.perfetto.dev or chrome://tracing.
#pragma once

#include <iosfwd>

#include "moeshift/model/timeline.hpp"

namespace moeshift {

/// Writes {"traceEvents": [...]}: one process row per Track::process, ranks in the order of their
/// numbers, one thread row per track, one complete event ("X", microseconds) per span in the order
/// given, a pair of "s" and "f" per flow, a "C" per counter sample. Arguments that are whole
/// numbers become numbers.
void write_chrome_trace(std::ostream& out, const Timeline& timeline);

}  // namespace moeshift
