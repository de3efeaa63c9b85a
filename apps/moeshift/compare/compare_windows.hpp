// SPDX-License-Identifier: Apache-2.0
// The steps that take part in a comparison, of which no more is kept than a bound allows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/judge/held_out.hpp"
#include "moeshift/judge/plan_on.hpp"
#include "moeshift/routing/route_summary.hpp"
#include "moeshift/trace/window.hpp"

namespace moeshift::cli {

/// As the command line names them.
struct WindowNames {
  std::vector<std::string> train;  ///< one per setting; none: halves, or a replay
  std::optional<std::string> test;
  std::optional<std::string> previous;
  std::optional<std::string> forecaster;  ///< that looks at the windows to plan on
};

/// Steps to plan on.
struct TrainWindow {
  PlannedLoads loads;
  std::vector<std::int64_t> steps;  ///< their own numbers
};

/// Held-out steps: in memory up to a bound, beyond it read again whenever they are asked for.
struct TestWindow {
  HeldOutWindows windows;           ///< of one step each; for a replay the whole trace
  std::vector<std::int64_t> steps;  ///< their own numbers
};

struct ComparisonWindows {
  TraceHeader header;
  std::vector<TrainWindow> train;  ///< one per setting; none for a replay
  TestWindow test;
  std::optional<LoadMatrix> previous;  ///< the sum of its steps
};

/// Opens the trace from its beginning.
using OpenTrace = std::function<std::unique_ptr<TraceReader>()>;

/// Reads them, in one pass as long as the steps that judge take less than `most_kept`.
/// @param halve without windows to plan on: the first half of the steps is that, the second judges;
///        a trace of one step is both.
/// @throws InputError for bad ranges and short traces.
[[nodiscard]] ComparisonWindows load_comparison_windows(const OpenTrace& open,
                                                        const std::string& name,
                                                        const WindowNames& names, bool halve,
                                                        Bytes most_kept = Bytes(128 << 20));

/// The routes of the same steps, where the trace has tokens.
struct ComparisonRoutes {
  std::vector<std::shared_ptr<const RouteSummary>> train;  ///< as in ComparisonWindows
  std::shared_ptr<const RouteSummary> test;
};
/// Reads them in a pass of their own. @param windows of the same `names`. @return nothing for a
/// trace of loads.
[[nodiscard]] std::optional<ComparisonRoutes> load_comparison_routes(
    const OpenTrace& open, const std::string& name, const WindowNames& names,
    const ComparisonWindows& windows, Threads threads);

/// Sums of `count` steps each, one after another; what is left over at the end is dropped.
class JoinedSteps {
 public:
  explicit JoinedSteps(std::size_t count) : count_(count) {}
  /// The window that `step` completes, if it does.
  [[nodiscard]] std::optional<LoadMatrix> add(const LoadMatrix& step);

 private:
  std::size_t count_;
  std::vector<LoadMatrix> open_;
};

}  // namespace moeshift::cli
