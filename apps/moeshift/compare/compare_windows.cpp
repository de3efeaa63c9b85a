// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_windows.hpp"

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

namespace moeshift::cli {
namespace {

using Loads = std::vector<LoadMatrix>;

/// Steps [first, last) of the trace, read again whenever they are asked for.
HeldOutWindows read_again(const OpenTrace& open, const std::string& name, StepRange range,
                          LoadMatrix sum) {
  return {[open, name, range](const HeldOutWindows::Visit& visit) {
            const auto reader = open();
            visit_windows(*reader, name, {&range, 1},
                          [&](std::size_t, const TraceStep& step) { visit(step.load); });
          },
          std::move(sum)};
}

/// The steps that judge, kept while that takes little.
class Judges {
 public:
  explicit Judges(Bytes most_kept) : most_kept_(most_kept) {}

  void add(const TraceStep& step) {
    steps.push_back(step.step);
    bytes_ += Bytes(static_cast<std::int64_t>(step.load.items().size() * sizeof(double)));
    if (bytes_ > most_kept_) kept = {};
    if (whole()) kept.push_back(step.load);
    if (sum.rows() == 0) {
      sum = step.load;
    } else {
      std::transform(sum.items().begin(), sum.items().end(), step.load.items().begin(),
                     sum.items().begin(), std::plus<>());
    }
  }
  [[nodiscard]] bool whole() const { return bytes_ <= most_kept_; }

  std::vector<std::int64_t> steps;
  Loads kept;  ///< all of them, or none
  LoadMatrix sum;

 private:
  Bytes most_kept_;
  Bytes bytes_;
};

/// Plans on steps [first, middle), judges on [middle, last); a single step does both.
void halve_kept(Judges& judges, const WindowNames& names, ComparisonWindows& windows) {
  const std::size_t steps = judges.kept.size();
  const std::size_t middle = steps / 2;
  TrainWindow train{PlannedLoads(names.forecaster), {}};
  for (std::size_t i = 0; i < std::max<std::size_t>(middle, 1); ++i) {
    train.loads.add(judges.kept[i]);
    train.steps.push_back(judges.steps[i]);
  }
  windows.train.push_back(std::move(train));
  const auto from = static_cast<std::ptrdiff_t>(middle);
  windows.test.steps.assign(judges.steps.begin() + from, judges.steps.end());
  judges.kept.erase(judges.kept.begin(), judges.kept.begin() + from);
  windows.test.windows = HeldOutWindows(std::move(judges.kept));
}

/// The same, of steps that are read again: those of `range`.
void halve_again(const OpenTrace& open, const std::string& name, const StepRange& range,
                 const Judges& judges, const WindowNames& names, ComparisonWindows& windows) {
  const std::size_t middle = range.first + judges.steps.size() / 2;
  const std::vector<StepRange> halves = {{range.first, middle},
                                         {middle, range.first + judges.steps.size()}};
  TrainWindow train{PlannedLoads(names.forecaster), {}};
  Judges later(Bytes(0));
  const auto reader = open();
  visit_windows(*reader, name, halves, [&](std::size_t half, const TraceStep& step) {
    if (half == 1) return later.add(step);
    train.loads.add(step.load);
    train.steps.push_back(step.step);
  });
  windows.train.push_back(std::move(train));
  windows.test.steps = std::move(later.steps);
  windows.test.windows = read_again(open, name, halves[1], std::move(later.sum));
}

}  // namespace

ComparisonWindows load_comparison_windows(const OpenTrace& open, const std::string& name,
                                          const WindowNames& names, bool halve, Bytes most_kept) {
  std::vector<StepRange> ranges = {parse_step_range(names.test.value_or(":"), "--test")};
  if (names.previous) ranges.push_back(parse_step_range(*names.previous, "--previous"));
  const std::size_t first_train = ranges.size();
  ComparisonWindows windows;
  for (const std::string& range : names.train) {
    ranges.push_back(parse_step_range(range, "--train"));
    windows.train.push_back({PlannedLoads(names.forecaster), {}});
  }
  Judges judges(most_kept);
  PlannedLoads previous({}, Bytes(0));
  const auto reader = open();
  visit_windows(*reader, name, ranges, [&](std::size_t i, const TraceStep& step) {
    if (i == 0) return judges.add(step);
    if (i < first_train) return previous.add(step.load);
    windows.train[i - first_train].loads.add(step.load);
    windows.train[i - first_train].steps.push_back(step.step);
  });
  windows.header = reader->header();
  if (names.previous) windows.previous = previous.sum();
  if (halve && windows.train.empty()) {
    if (judges.whole()) {
      halve_kept(judges, names, windows);
    } else {
      halve_again(open, name, ranges.front(), judges, names, windows);
    }
    return windows;
  }
  windows.test.steps = std::move(judges.steps);
  windows.test.windows = judges.whole()
                             ? HeldOutWindows(std::move(judges.kept))
                             : read_again(open, name, ranges.front(), std::move(judges.sum));
  return windows;
}

std::optional<ComparisonRoutes> load_comparison_routes(const OpenTrace& open,
                                                       const std::string& name,
                                                       const WindowNames& names,
                                                       const ComparisonWindows& windows,
                                                       Threads threads) {
  const auto reader = open();
  if (!reader->has_routes()) return std::nullopt;
  std::vector<StepRange> ranges = {parse_step_range(names.test.value_or(":"), "--test")};
  for (const std::string& range : names.train) {
    ranges.push_back(parse_step_range(range, "--train"));
  }
  if (names.train.empty() && windows.train.size() == 1) {  // halves, or a step that is both
    const std::size_t first = ranges.front().first;
    const std::size_t planned = windows.train.front().steps.size();
    const bool both = windows.train.front().steps == windows.test.steps;
    const std::size_t middle = both ? first : first + planned;
    ranges = {{middle, middle + windows.test.steps.size()}, {first, first + planned}};
  }
  ComparisonRoutes routes;
  for (RouteSummary& summary : summarised(*reader, name, ranges, threads)) {
    auto shared = std::make_shared<const RouteSummary>(std::move(summary));
    if (!routes.test) {
      routes.test = std::move(shared);
    } else {
      routes.train.push_back(std::move(shared));
    }
  }
  return routes;
}

std::optional<LoadMatrix> JoinedSteps::add(const LoadMatrix& step) {
  if (count_ == 1) return step;
  open_.push_back(step);
  if (open_.size() < count_) return std::nullopt;
  LoadMatrix sum = sum_of(open_);
  open_.clear();
  return sum;
}

}  // namespace moeshift::cli
