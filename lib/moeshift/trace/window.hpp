// SPDX-License-Identifier: Apache-2.0
// Parts of a trace: "a:b" on the command line, load samples in memory.
#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/formats/trace_format.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/routing/route_summarizer.hpp"
#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

/// The steps [first, last) of a trace, counted from 0 in file order (whatever their "step" says);
/// no `last` = to the end.
struct StepRange {
  std::size_t first = 0;
  std::optional<std::size_t> last;

  [[nodiscard]] bool contains(std::size_t position) const {
    return position >= first && (!last || position < *last);
  }
  bool operator==(const StepRange&) const = default;
};

/// "a:b", "a:", ":b", ":" or "a" (that one step).
/// @param option what errors call it: "--windows".
/// @throws InputError unless 0 <= a < b.
[[nodiscard]] StepRange parse_step_range(std::string_view text, std::string_view option);
/// "2:8", "2:"; parse_step_range reads it back.
[[nodiscard]] std::string to_string(const StepRange& range);

/// Some steps of a trace, in memory.
struct LoadWindow {
  TraceHeader header;
  std::vector<LoadMatrix> loads;                   ///< [steps] of [num_layers, num_experts]
  std::vector<std::int64_t> steps;                 ///< the steps' own numbers
  std::vector<std::optional<std::string>> labels;  ///< and labels
};

/// An empty summary of what `header` says: model, layers, experts, experts per token.
[[nodiscard]] RouteSummary summary_for(const TraceHeader& header);
/// Takes the routes of a trace with that header; sources beyond its ranks are refused.
[[nodiscard]] RouteSummarizer summarizer_for(const TraceHeader& header);

/// The routes of each range of a trace of tokens, summarised in one pass.
/// @throws InputError when it has none, and as visit_windows().
[[nodiscard]] std::vector<RouteSummary> summarised(TraceReader& reader, const std::string& name,
                                                   std::span<const StepRange> ranges,
                                                   Threads threads);
/// Those of the whole trace.
[[nodiscard]] RouteSummary summarised(TraceReader& reader, const std::string& name,
                                      Threads threads);

/// Calls visit(i, step) for every step that ranges[i] wants, in one pass (ranges may overlap);
/// reading stops after the last one that any range wants. Keeps nothing.
/// @return how many steps each range had.
/// @throws InputError on bad input and when the trace ends before a range is full.
std::vector<std::size_t> visit_windows(
    TraceReader& reader, const std::string& name, std::span<const StepRange> ranges,
    const std::function<void(std::size_t, const TraceStep&)>& visit);

/// Reads the steps of each range in one pass (ranges may overlap); reading stops after the last one
/// that any range wants. Memory: the steps asked for.
/// @throws InputError on bad input and when the trace ends before a range is full.
[[nodiscard]] std::vector<LoadWindow> load_windows(TraceReader& reader, const std::string& name,
                                                   std::span<const StepRange> ranges);
/// One range of a trace of any known format.
[[nodiscard]] LoadWindow load_window(std::istream& in, const std::string& name,
                                     const StepRange& range = {});
[[nodiscard]] std::vector<LoadWindow> load_windows(std::istream& in, const std::string& name,
                                                   std::span<const StepRange> ranges);

}  // namespace moeshift
