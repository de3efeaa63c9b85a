// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/search/risk.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {

Risk risk_named(const std::string& name) {
  if (name == "mean") return {};
  if (name == "worst") return {.kind = Risk::Kind::kWorst};
  const std::string prefix = "cvar:";
  if (name.starts_with(prefix)) {
    double alpha = -1;
    const char* end = name.data() + name.size();
    const auto read = std::from_chars(name.data() + prefix.size(), end, alpha);
    if (read.ec == std::errc() && read.ptr == end && alpha >= 0 && alpha < 1) {
      return {.kind = Risk::Kind::kCvar, .alpha = alpha};
    }
  }
  throw InputError("", fmt::format("unknown risk '{}'; expected mean, worst or cvar:a with a in "
                                   "[0, 1)",
                                   name));
}

std::vector<double> risk_weights(const Risk& risk, std::span<const double> peaks) {
  const std::size_t windows = peaks.size();
  if (risk.kind == Risk::Kind::kMean) {
    return std::vector<double>(windows, 1.0 / static_cast<double>(windows));
  }
  std::vector<std::size_t> order(windows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return peaks[a] > peaks[b]; });
  double left = risk.kind == Risk::Kind::kWorst
                    ? 1.0
                    : std::max(1.0, (1 - risk.alpha) * static_cast<double>(windows));
  const double tail = left;
  std::vector<double> weights(windows, 0);
  for (const std::size_t window : order) {
    weights[window] = std::min(1.0, left) / tail;
    left -= std::min(1.0, left);
  }
  return weights;
}

}  // namespace moeshift
