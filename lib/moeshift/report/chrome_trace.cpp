// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/chrome_trace.hpp"

#include <algorithm>
#include <map>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

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
  for (const CounterSample& sample : timeline.counters) {
    numbers.emplace(sample.process, static_cast<int>(numbers.size()) + 1);
  }
  return numbers;
}

Json metadata(const char* what, int process, std::size_t thread, Json arguments) {
  return {{"ph", "M"},
          {"name", what},
          {"pid", process},
          {"tid", thread},
          {"args", std::move(arguments)}};
}

/// "rank 10" after "rank 9": the text, then the number at its end.
std::pair<std::string, std::uint64_t> natural(const std::string& name) {
  const std::size_t digits = name.find_last_not_of("0123456789") + 1;
  if (digits == name.size() || name.size() - digits > 18) return {name, 0};
  return {name.substr(0, digits), std::stoull(name.substr(digits))};
}

/// Process numbers in the order that people expect.
std::map<std::string, std::size_t> order_of(const std::map<std::string, int>& processes) {
  std::vector<std::string> names;
  for (const auto& [name, number] : processes) names.push_back(name);
  std::sort(names.begin(), names.end(),
            [](const std::string& a, const std::string& b) { return natural(a) < natural(b); });
  std::map<std::string, std::size_t> order;
  for (std::size_t i = 0; i < names.size(); ++i) order[names[i]] = i;
  return order;
}

/// Whole numbers as numbers, so that viewers can add them up.
Json argument(const std::string& text) {
  const bool whole = !text.empty() && text.size() <= 18 &&
                     text.find_first_not_of("0123456789") == std::string::npos;
  return whole ? Json(std::stoull(text)) : Json(text);
}

double micros(Seconds time) {
  return time.count() * 1e6;
}

Json span_event(const Span& span, int process) {
  Json arguments = Json::object();
  for (const auto& [key, value] : span.arguments) arguments[key] = argument(value);
  return {{"ph", "X"},
          {"name", span.name},
          {"cat", span.category},
          {"pid", process},
          {"tid", span.track + 1},
          {"ts", micros(span.start)},
          {"dur", micros(span.duration)},
          {"args", std::move(arguments)}};
}

/// One end of an arrow; it binds to the span that is under way at that time on that track.
Json flow_event(const char* end, const Flow& flow, std::size_t number, const Span& span,
                int process) {
  const bool starts = *end == 's';
  Json event = {{"ph", end},
                {"id", number},
                {"name", flow.name},
                {"cat", "flow"},
                {"pid", process},
                {"tid", span.track + 1},
                {"ts", micros(starts ? span.start : span.start + span.duration)}};
  if (!starts) event["bp"] = "e";
  return event;
}

}  // namespace

void write_chrome_trace(std::ostream& out, const Timeline& timeline) {
  const std::map<std::string, int> processes = number_processes(timeline);
  const std::map<std::string, std::size_t> order = order_of(processes);
  const auto process_of = [&](const Span& span) {
    return processes.at(timeline.tracks[span.track].process);
  };
  out << "{\"traceEvents\": [\n";
  const char* separator = "";
  const auto write = [&](const Json& event) {
    out << separator << event.dump();
    separator = ",\n";
  };
  for (const auto& [name, number] : processes) {
    write(metadata("process_name", number, 0, {{"name", name}}));
    write(metadata("process_sort_index", number, 0, {{"sort_index", order.at(name)}}));
  }
  for (std::size_t i = 0; i < timeline.tracks.size(); ++i) {
    const Track& track = timeline.tracks[i];
    write(metadata("thread_name", processes.at(track.process), i + 1, {{"name", track.name}}));
  }
  for (const Span& span : timeline.spans) write(span_event(span, process_of(span)));
  for (std::size_t i = 0; i < timeline.flows.size(); ++i) {
    const Flow& flow = timeline.flows[i];
    const Span& from = timeline.spans[flow.from];
    const Span& to = timeline.spans[flow.to];
    write(flow_event("s", flow, i + 1, from, process_of(from)));
    write(flow_event("f", flow, i + 1, to, process_of(to)));
  }
  for (const CounterSample& sample : timeline.counters) {
    write({{"ph", "C"},
           {"name", sample.name},
           {"pid", processes.at(sample.process)},
           {"tid", 0},
           {"ts", micros(sample.at)},
           {"args", {{"value", sample.value}}}});
  }
  out << "\n], \"displayTimeUnit\": \"ms\"}\n";
}

}  // namespace moeshift
