// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/window.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

[[noreturn]] void fail_range(std::string_view text, std::string_view option) {
  throw InputError(
      "", fmt::format("{} {}: expected a:b with 0 <= a < b, such as 0:8, 4: or :4", option, text));
}

std::size_t parse_position(std::string_view digits, std::string_view text,
                           std::string_view option) {
  std::size_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end) fail_range(text, option);
  return value;
}

void check_full(std::size_t found, const StepRange& range, std::size_t num_steps,
                const std::string& name) {
  const bool full = range.last ? range.first + found == *range.last : found > 0;
  if (full) return;
  throw InputError(name, fmt::format("expected steps {}, but the trace has {} steps",
                                     to_string(range), num_steps));
}

}  // namespace

StepRange parse_step_range(std::string_view text, std::string_view option) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    const std::size_t only = parse_position(text, text, option);
    return {only, only + 1};
  }
  StepRange range;
  const std::string_view first = text.substr(0, colon);
  const std::string_view last = text.substr(colon + 1);
  if (!first.empty()) range.first = parse_position(first, text, option);
  if (!last.empty()) range.last = parse_position(last, text, option);
  if (range.last && *range.last <= range.first) fail_range(text, option);
  return range;
}

std::string to_string(const StepRange& range) {
  return fmt::format("{}:{}", range.first, range.last ? std::to_string(*range.last) : "");
}

std::vector<std::size_t> visit_windows(
    TraceReader& reader, const std::string& name, std::span<const StepRange> ranges,
    const std::function<void(std::size_t, const TraceStep&)>& visit) {
  const auto wanted_after = [&](std::size_t position) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const StepRange& range) {
      return !range.last || position < *range.last;
    });
  };
  std::vector<std::size_t> found(ranges.size(), 0);
  TraceStep step;
  std::size_t position = 0;
  for (; wanted_after(position) && reader.next(step); ++position) {
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      if (!ranges[i].contains(position)) continue;
      visit(i, step);
      ++found[i];
    }
  }
  for (std::size_t i = 0; i < ranges.size(); ++i) check_full(found[i], ranges[i], position, name);
  return found;
}

RouteSummary summary_for(const TraceHeader& header) {
  RouteSummary summary;
  summary.model = header.model;
  summary.num_experts = header.num_experts;
  summary.top_k = header.top_k.value_or(0);
  summary.layer_ids = header.layer_ids;
  return summary;
}

RouteSummarizer summarizer_for(const TraceHeader& header) {
  SummaryOptions options;
  options.ranks = header.num_ranks.value_or(0);
  return {summary_for(header), header.num_layers, options};
}

std::vector<RouteSummary> summarised(TraceReader& reader, const std::string& name,
                                     std::span<const StepRange> ranges, Threads threads) {
  if (!reader.has_routes()) {
    throw InputError(name,
                     "has loads and no routes; expected tokens and the experts they chose "
                     "(docs/formats.md), or a summary of them");
  }
  std::vector<RouteSummarizer> summarizers;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    summarizers.push_back(summarizer_for(reader.header()));
  }
  visit_windows(reader, name, ranges, [&](std::size_t i, const TraceStep&) {
    summarizers[i].add(*reader.step_routes(), threads);
  });
  std::vector<RouteSummary> summaries;
  for (RouteSummarizer& summarizer : summarizers) {
    summaries.push_back(std::move(summarizer).take());
  }
  return summaries;
}

RouteSummary summarised(TraceReader& reader, const std::string& name, Threads threads) {
  const StepRange all;
  return std::move(summarised(reader, name, {&all, 1}, threads).front());
}

std::vector<LoadWindow> load_windows(TraceReader& reader, const std::string& name,
                                     std::span<const StepRange> ranges) {
  std::vector<LoadWindow> windows(ranges.size());
  visit_windows(reader, name, ranges, [&](std::size_t i, const TraceStep& step) {
    windows[i].loads.push_back(step.load);
    windows[i].steps.push_back(step.step);
    windows[i].labels.push_back(step.label);
  });
  for (LoadWindow& window : windows) window.header = reader.header();
  return windows;
}

std::vector<LoadWindow> load_windows(std::istream& in, const std::string& name,
                                     std::span<const StepRange> ranges) {
  return load_windows(*open_trace(in, name), name, ranges);
}

LoadWindow load_window(std::istream& in, const std::string& name, const StepRange& range) {
  return std::move(load_windows(in, name, {&range, 1}).front());
}

}  // namespace moeshift
