// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/readers.hpp"

#include <sstream>
#include <string_view>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/formats/trace_format.hpp"
#include "moeshift/trace/statistics.hpp"

namespace moeshift::test {
namespace {

/// More loads per step than any seed has: only to keep a hostile header from slowing the fuzzer.
constexpr std::size_t kMostLoads = std::size_t{1} << 16U;

bool feed_trace(const std::string& bytes) {
  std::istringstream in(bytes);
  TraceReadOptions options;
  options.likely_experts = 16;
  const auto reader = open_trace(in, "fuzz", "auto", options);
  const TraceHeader& header = reader->header();
  if (header.num_layers * header.num_experts > kMostLoads) return false;
  TraceObserver observer(header);
  std::ostringstream text;
  const auto neutral = trace_format("neutral").create(text, header);
  TraceStep step;
  while (reader->next(step)) {
    observer.add(step);
    neutral->write(step);
  }
  neutral->finish();
  static_cast<void>(observer.finish());

  std::istringstream again(text.str());
  std::ostringstream twice;
  const auto second = open_trace(again, "again", "neutral");
  const auto writer = trace_format("neutral").create(twice, second->header());
  while (second->next(step)) writer->write(step);
  MOESHIFT_CHECK(twice.str() == text.str());
  return true;
}

bool feed_placement(const std::string& bytes) {
  std::istringstream in(bytes);
  const PlacementFile file = read_placement(in, "fuzz", {std::nullopt, 2});
  for (const PlacementFormat& format : placement_formats()) {
    if (format.write == nullptr || file.placement.slots() < file.placement.experts()) continue;
    std::ostringstream out;
    format.write(out, file);
    std::istringstream again(out.str());
    const PlacementHints hints{file.placement.experts(), file.placement.ranks()};
    MOESHIFT_CHECK(read_placement(again, "again", hints, format.name).placement == file.placement);
  }
  return true;
}

template <class Action>
bool accepted(Action action) {
  try {
    return action();
  } catch (const InputError&) {
    return false;
  }
}

}  // namespace

bool feed_readers(const std::string& bytes) {
  const bool trace = accepted([&] { return feed_trace(bytes); });
  const bool placement = accepted([&] { return feed_placement(bytes); });
  return trace || placement;
}

}  // namespace moeshift::test
