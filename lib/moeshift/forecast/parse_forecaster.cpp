// SPDX-License-Identifier: Apache-2.0
// "mean:1000", "samples:8x100", "recentred:8x100:0.5": specs as people write them.
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/forecast/forecasters.hpp"

namespace moeshift {
namespace {

constexpr std::array<ForecasterEntry, 5> kForecasters = {{
    {"last", "the last step"},
    {"mean:H", "the mean of the last H steps"},
    {"ewma:A", "exponentially weighted moving average, weight A for the newest step"},
    {"samples:HxN", "H windows of N steps each, for policies that hedge (N = 1 unless given)"},
    {"recentred:HxN:A",
     "the same, rescaled around their EWMA (A = 0.5 unless given; auto: as would have "
     "forecast them best)"},
}};

constexpr std::size_t kLargestWindow = 1'000'000;

[[noreturn]] void fail(std::string_view spec) {
  std::string forms;
  for (const ForecasterEntry& entry : kForecasters) {
    forms += fmt::format("{}{}", forms.empty() ? "" : ", ", entry.spec);
  }
  throw InputError("", fmt::format("forecaster '{}': expected one of {} with whole H, N >= 1 and "
                                   "0 < A <= 1",
                                   spec, forms));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t end = 0; (end = text.find(separator)) != std::string_view::npos;) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

std::size_t parse_window(std::string_view word, std::string_view spec) {
  std::size_t value = 0;
  const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || stop != word.data() + word.size()) fail(spec);
  if (value < 1 || value > kLargestWindow) fail(spec);
  return value;
}

double parse_alpha(std::string_view word, std::string_view spec) {
  double value = 0;
  const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || stop != word.data() + word.size()) fail(spec);
  if (!(value > 0 && value <= 1)) fail(spec);
  return value;
}

std::unique_ptr<Forecaster> parse_samples(const std::vector<std::string_view>& parts,
                                          std::string_view spec) {
  const bool recentred = parts[0] == "recentred";
  if (parts.size() < 2 || parts.size() > (recentred ? 3U : 2U)) fail(spec);
  const std::vector<std::string_view> shape = split(parts[1], 'x');
  if (shape.size() > 2) fail(spec);
  WindowSamples::Options options;
  options.samples = parse_window(shape[0], spec);
  if (shape.size() == 2) options.steps_per_sample = parse_window(shape[1], spec);
  options.backtest = parts.size() == 3 && parts[2] == "auto";
  if (recentred && !options.backtest) {
    options.recentre = parts.size() == 3 ? parse_alpha(parts[2], spec) : 0.5;
  }
  return std::make_unique<WindowSamples>(options);
}

}  // namespace

std::span<const ForecasterEntry> forecasters() {
  return kForecasters;
}

std::unique_ptr<Forecaster> make_forecaster(std::string_view spec) {
  const std::vector<std::string_view> parts = split(spec, ':');
  if (parts[0] == "samples" || parts[0] == "recentred") return parse_samples(parts, spec);
  if (parts[0] == "last" && parts.size() == 1) return std::make_unique<LastStep>();
  if (parts[0] == "mean" && parts.size() == 2) {
    return std::make_unique<WindowMean>(parse_window(parts[1], spec));
  }
  if (parts[0] == "ewma" && parts.size() == 2) {
    return std::make_unique<Ewma>(parse_alpha(parts[1], spec));
  }
  fail(spec);
}

}  // namespace moeshift
