// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/traces/trace_copy.hpp"

#include <fmt/format.h>

#include "apps/moeshift/cli/session.hpp"

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

void write_trace(Session& session, TraceReader& reader, const std::string& to,
                 const std::string& path) {
  const TraceHeader header = reader.header();
  std::size_t steps = 0;
  session.write_file(path, [&](std::ostream& out) {
    steps = copy_trace(reader, *trace_format(to).create(out, header), session.progress());
  });
  if (!header.layer_ids.empty() && to != "neutral" && to != "sglang") {
    session.say(fmt::format("{} does not say which layers of the model these are ({} to {})", to,
                            header.layer_ids.front(), header.layer_ids.back()));
  }
  if (path == "-") return;
  session.say(fmt::format("{}: {} steps of {} layers x {} experts as {}", path, steps,
                          header.num_layers, header.num_experts, to));
}

}  // namespace moeshift::cli
