// SPDX-License-Identifier: Apache-2.0
// What the trace commands share.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "moeshift/core/progress.hpp"
#include "moeshift/formats/trace_format.hpp"

namespace moeshift::cli {

class Session;

[[nodiscard]] std::vector<std::string> trace_format_names();
/// Those that can be written.
[[nodiscard]] std::vector<std::string> writable_trace_format_names();

/// Writes every step that is left, one in memory at a time, and finishes the file.
/// @param total steps, where known, for the progress bar; else 0.
/// @return the number of steps
std::size_t copy_trace(TraceReader& reader, TraceWriter& writer, Progress& progress,
                       std::size_t total = 0);

/// Writes all of `reader`, whose layers are as `to` wants them (written_layers.hpp), to `path`, and
/// says what was written and what the format does not say.
void write_trace(Session& session, TraceReader& reader, const std::string& to,
                 const std::string& path);

}  // namespace moeshift::cli
