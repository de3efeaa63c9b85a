// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/phase.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace moeshift {
namespace {

constexpr double kManyTokens = 4096;
constexpr double kFewTokens = 1024;
constexpr double kAlike = 0.67;  ///< dispersion between neighbours / over the whole trace

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// What the header's "phase" says, lower case, or nothing.
std::string stated_phase(const TraceHeader& header) {
  const auto other = nlohmann::json::parse(header.other_json, nullptr, false);
  if (!other.is_object() || !other.contains("phase") || !other["phase"].is_string()) return "";
  std::string text = other["phase"].get<std::string>();
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

std::string_view name_of(TrafficPhase phase) {
  static constexpr std::array<std::string_view, 3> kNames = {"prefill", "decode", "unknown"};
  return kNames[static_cast<std::size_t>(phase)];
}

PhaseGuess guess_phase(const TraceHeader& header, double tokens, const TrafficDrift& drift) {
  PhaseGuess guess;
  const std::string stated = stated_phase(header);
  for (const TrafficPhase phase : {TrafficPhase::kPrefill, TrafficPhase::kDecode}) {
    if (stated != name_of(phase)) continue;
    guess.phase = phase;
    guess.stated = true;
    guess.evidence.push_back("the recording says so");
    return guess;
  }
  int points = 0;  // > 0 prefill, < 0 decode
  if (tokens >= kManyTokens) {
    points += 1;
    guess.evidence.push_back(
        fmt::format("{:.0f} tokens per step: prefill, or sums of many passes", tokens));
  } else if (tokens <= kFewTokens) {
    points -= 1;
    guess.evidence.push_back(fmt::format("{:.0f} tokens per step: few, as in decode", tokens));
  }
  const double overall = median_of(drift.dispersion);
  const double between = median_of(drift.step_dispersion);
  if (overall > 1.5 && drift.abrupt_steps.empty()) {
    const bool alike = between < kAlike * overall;
    points += alike ? -1 : 1;
    guess.evidence.push_back(
        alike ? fmt::format("neighbouring steps share requests (dispersion {:.1f} between them, "
                            "{:.1f} overall): decode",
                            between, overall)
              : fmt::format("neighbouring steps are as different as any two (dispersion {:.1f} and "
                            "{:.1f}): new prompts every step, prefill",
                            between, overall));
  }
  if (points != 0) guess.phase = points > 0 ? TrafficPhase::kPrefill : TrafficPhase::kDecode;
  if (guess.evidence.empty()) guess.evidence.push_back("nothing tells them apart here");
  return guess;
}

}  // namespace moeshift
