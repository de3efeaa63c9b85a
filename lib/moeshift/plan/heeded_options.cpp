// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/heeded_options.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kOurs = "balanced hierarchical incremental robust";

/// An option, whether it was asked for, and who reads it.
struct Row {
  std::string_view option;
  bool (*is_asked)(const PolicyOptions& asked, const PolicyOptions& usual);
  std::string_view readers;
};

constexpr std::array<Row, 10> kRows = {{
    {"hierarchy", [](const auto& a, const auto& b) { return a.hierarchy != b.hierarchy; },
     "deepseek vllm snake"},
    {"effort", [](const auto& a, const auto& b) { return a.effort != b.effort; }, kOurs},
    {"home", [](const auto& a, const auto& b) { return a.home != b.home; }, "hierarchical"},
    {"risk", [](const auto& a, const auto& b) { return a.risk != b.risk; }, "robust"},
    {"from_scratch", [](const auto& a, const auto& b) { return a.from_scratch != b.from_scratch; },
     "robust"},
    {"budget_bytes", [](const auto& a, const auto& b) { return a.budget != b.budget; },
     "incremental robust"},
    {"price", [](const auto& a, const auto& b) { return a.price != b.price; },
     "incremental robust"},
    {"inter_node_price",
     [](const auto& a, const auto& b) { return a.inter_node_price != b.inter_node_price; }, kOurs},
    {"target_gap", [](const auto& a, const auto& b) { return a.target_gap != b.target_gap; },
     "incremental robust"},
    {"min_gain", [](const auto& a, const auto& b) { return a.min_gain != b.min_gain; },
     "balanced incremental robust"},
}};

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::string_view first = words.substr(0, words.find(' '));
    if (first == word) return true;
    words.remove_prefix(std::min(words.size(), first.size() + 1));
  }
  return false;
}

void demand_at_least(double value, double lowest, std::string_view what) {
  if (value >= lowest && std::isfinite(value)) return;
  throw InputError("", fmt::format("expected {} of at least {}, got {}", what, lowest, value));
}

}  // namespace

void check_policy_options(const PolicyOptions& options) {
  demand_at_least(options.min_gain, 0, "a least gain");
  demand_at_least(options.target_gap, 0, "a target gap");
  demand_at_least(options.inter_node_price, 1, "an inter-node price");
  if (options.price) demand_at_least(*options.price, 0, "a price");
}

std::vector<std::string> unheeded_options(std::span<const std::string> policies,
                                          const PolicyOptions& options) {
  const PolicyOptions usual;
  std::vector<std::string> unheeded;
  for (const Row& row : kRows) {
    const bool read = std::ranges::any_of(policies, [&](const std::string& policy) {
      return has_word(row.readers, policy) || (options.network && row.option == "price");
    });
    if (!read && row.is_asked(options, usual)) unheeded.emplace_back(row.option);
  }
  return unheeded;
}

}  // namespace moeshift
