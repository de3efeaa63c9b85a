// SPDX-License-Identifier: Apache-2.0
// The steps that take part in a comparison.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "moeshift/trace/window.hpp"

namespace moeshift::cli {

/// As the command line names them.
struct WindowNames {
  std::vector<std::string> train;  ///< one per setting; none: halves, or a replay
  std::optional<std::string> test;
  std::optional<std::string> previous;
};

struct ComparisonWindows {
  std::vector<LoadWindow> train;  ///< one per setting; none for a replay
  LoadWindow test;                ///< held out; for a replay the whole trace
  std::optional<LoadWindow> previous;
};

/// Reads them in one pass.
/// @param halve without windows to plan on: the first half of the steps is that, the second judges;
///        a trace of one step is both.
/// @throws InputError for bad ranges and short traces.
[[nodiscard]] ComparisonWindows load_comparison_windows(TraceReader& reader,
                                                        const std::string& name,
                                                        const WindowNames& names, bool halve);

/// Sums of `count` steps each; what is left over at the end is dropped.
[[nodiscard]] std::vector<LoadMatrix> joined(const std::vector<LoadMatrix>& steps,
                                             std::size_t count);

}  // namespace moeshift::cli
