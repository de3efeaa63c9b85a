// SPDX-License-Identifier: Apache-2.0
// What tests of recordings share. The small files in recordings/ hold plain.json in every disguise.
#pragma once

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/trace_format.hpp"
#include "moeshift/trace/doubts.hpp"

#include "tests/support/catch.hpp"

namespace moeshift::recorded {

struct Trace {
  TraceHeader header;
  std::vector<TraceStep> steps;
};

inline Trace read_all(TraceReader& reader) {
  Trace trace;
  TraceStep step;
  while (reader.next(step)) trace.steps.push_back(step);
  trace.header = reader.header();
  return trace;
}

inline TraceInput file(const std::string& path) {
  return {path, [path] { return std::make_unique<std::ifstream>(path, std::ios::binary); }};
}

inline TraceInput text(const std::string& name, const std::string& content) {
  return {name, [content] { return std::make_unique<std::istringstream>(content); }};
}

inline Trace read(std::vector<TraceInput> inputs, const TraceReadOptions& options = {},
                  const JoinOptions& join = {}) {
  return read_all(*open_trace(std::move(inputs), options, join));
}

inline std::string interop(const std::string& name) {
  return test::source_path("tests/unit/formats/recordings/" + name).string();
}

inline Trace interop_trace(const std::string& name, const TraceReadOptions& options = {}) {
  return read({file(interop(name))}, options);
}

inline std::string fault_of(std::vector<TraceInput> inputs, const TraceReadOptions& options = {},
                            const JoinOptions& join = {}) {
  try {
    static_cast<void>(read(std::move(inputs), options, join));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

inline bool same_loads(const Trace& a, const Trace& b) {
  if (a.steps.size() != b.steps.size()) return false;
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    if (!(a.steps[i].load == b.steps[i].load)) return false;
  }
  return true;
}

inline TraceReadOptions experts(std::size_t count) {
  TraceReadOptions options;
  options.num_experts = count;
  return options;
}

/// A .npy file of int32.
inline std::string npy(const std::string& shape, const std::vector<std::int32_t>& numbers) {
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (" + shape + "), }\n";
  std::string bytes =
      std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header;
  bytes.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * 4);
  return bytes;
}

inline std::vector<double> row(const TraceStep& step, std::size_t layer) {
  const auto items = step.load.row(LayerId(layer));
  return {items.begin(), items.end()};
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline std::string all_notes(const Trace& trace) {
  std::string all;
  for (const std::string& note : trace.header.notes) all += note + "\n";
  return all;
}

inline std::vector<std::string> kinds_of(const Trace& trace) {
  TraceDoubts doubts(trace.header);
  for (const TraceStep& step : trace.steps) doubts.add(step);
  std::vector<std::string> kinds;
  for (const TraceWarning& warning : doubts.warnings()) kinds.emplace_back(warning.kind);
  return kinds;
}

inline bool doubted(const Trace& trace, const std::string& kind) {
  const auto kinds = kinds_of(trace);
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

}  // namespace moeshift::recorded
