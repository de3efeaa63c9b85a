// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/traces/trace_copy.hpp"

namespace moeshift::cli {

std::vector<std::string> trace_format_names() {
  std::vector<std::string> names;
  for (const TraceFormat& format : trace_formats()) names.emplace_back(format.name);
  return names;
}

std::vector<std::string> writable_trace_format_names() {
  std::vector<std::string> names;
  for (const TraceFormat& format : trace_formats()) {
    if (format.create != nullptr) names.emplace_back(format.name);
  }
  return names;
}

std::size_t copy_trace(TraceReader& reader, TraceWriter& writer, Progress& progress,
                       std::size_t total) {
  TraceStep step;
  std::size_t steps = 0;
  while (reader.next(step)) {
    writer.write(step);
    ++steps;
    if (total > 0) progress.update("steps", steps, total);
  }
  writer.finish();
  return steps;
}

}  // namespace moeshift::cli
