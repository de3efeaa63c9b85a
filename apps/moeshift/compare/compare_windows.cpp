// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_windows.hpp"

#include <span>
#include <utility>

namespace moeshift::cli {
namespace {

LoadWindow part_of(const LoadWindow& whole, std::size_t first, std::size_t last) {
  LoadWindow part{.header = whole.header, .loads = {}, .steps = {}, .labels = {}};
  for (std::size_t i = first; i < last; ++i) {
    part.loads.push_back(whole.loads[i]);
    part.steps.push_back(whole.steps[i]);
    part.labels.push_back(whole.labels[i]);
  }
  return part;
}

}  // namespace

ComparisonWindows load_comparison_windows(TraceReader& reader, const std::string& name,
                                          const WindowNames& names, bool halve) {
  std::vector<StepRange> ranges = {parse_step_range(names.test.value_or(":"), "--test")};
  if (names.previous) ranges.push_back(parse_step_range(*names.previous, "--previous"));
  for (const std::string& range : names.train) {
    ranges.push_back(parse_step_range(range, "--train"));
  }
  std::vector<LoadWindow> read = load_windows(reader, name, ranges);
  ComparisonWindows windows{.train = {}, .test = std::move(read[0]), .previous = {}};
  if (names.previous) windows.previous = std::move(read[1]);
  for (std::size_t i = names.previous ? 2 : 1; i < read.size(); ++i) {
    windows.train.push_back(std::move(read[i]));
  }
  if (!halve || !windows.train.empty()) return windows;
  const std::size_t steps = windows.test.loads.size();
  if (steps == 1) {
    windows.train = {windows.test};
    return windows;
  }
  windows.train = {part_of(windows.test, 0, steps / 2)};
  windows.test = part_of(windows.test, steps / 2, steps);
  return windows;
}

std::vector<LoadMatrix> joined(const std::vector<LoadMatrix>& steps, std::size_t count) {
  std::vector<LoadMatrix> windows;
  for (std::size_t first = 0; first + count <= steps.size(); first += count) {
    windows.push_back(sum_of(std::span(steps).subspan(first, count)));
  }
  return windows;
}

}  // namespace moeshift::cli
