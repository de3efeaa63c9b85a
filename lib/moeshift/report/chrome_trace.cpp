// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/chrome_trace.hpp"

#include <algorithm>
#include <map>
#include <ostream>

#include <nlohmann/json.hpp>

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

/// Process numbers in the order in which the names appear.
std::map<std::string, int> number_processes(const Timeline& timeline) {
  std::map<std::string, int> numbers;
  for (const Track& track : timeline.tracks) {
    numbers.emplace(track.process, static_cast<int>(numbers.size()) + 1);
  }
  return numbers;
}

Json name_event(const char* what, int process, std::size_t thread, const std::string& name) {
  return {
      {"ph", "M"}, {"name", what}, {"pid", process}, {"tid", thread}, {"args", {{"name", name}}}};
}

Json span_event(const Span& span, int process) {
  Json arguments = Json::object();
  for (const auto& [key, value] : span.arguments) arguments[key] = value;
  return {{"ph", "X"},
          {"name", span.name},
          {"cat", span.category},
          {"pid", process},
          {"tid", span.track + 1},
          {"ts", span.start.count() * 1e6},
          {"dur", span.duration.count() * 1e6},
          {"args", std::move(arguments)}};
}

}  // namespace

void write_chrome_trace(std::ostream& out, const Timeline& timeline) {
  const std::map<std::string, int> processes = number_processes(timeline);
  out << "{\"traceEvents\": [\n";
  const char* separator = "";
  const auto write = [&](const Json& event) {
    out << separator << event.dump();
    separator = ",\n";
  };
  for (const auto& [name, number] : processes) write(name_event("process_name", number, 0, name));
  for (std::size_t i = 0; i < timeline.tracks.size(); ++i) {
    const Track& track = timeline.tracks[i];
    write(name_event("thread_name", processes.at(track.process), i + 1, track.name));
  }
  for (const Span& span : timeline.spans) {
    write(span_event(span, processes.at(timeline.tracks[span.track].process)));
  }
  out << "\n], \"displayTimeUnit\": \"ms\"}\n";
}

}  // namespace moeshift
