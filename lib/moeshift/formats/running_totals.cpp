// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/running_totals.hpp"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

namespace moeshift {
namespace {

/// Passes of one recording differ by less, but for a prompt among tokens.
constexpr double kMuchMore = 4;

}  // namespace

bool take_difference(std::span<const double> before, std::span<double> now) {
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] < before[i]) return true;
  }
  std::ranges::transform(now, before, now.begin(), std::minus<>());
  return false;
}

void FirstTotal::add(double tokens) {
  if (steps_++ == 0) {
    first_ = tokens;
  } else {
    largest_of_others_ = std::max(largest_of_others_, tokens);
  }
}

std::string FirstTotal::note() const {
  if (steps_ == 0) return "";
  std::string text = "the first step is a whole total: all that was counted before it";
  if (steps_ > 1 && first_ > kMuchMore * largest_of_others_) {
    text += fmt::format(
        ", {:.0f} against at most {:.0f} in the others; trace select `steps` 1: leaves it out",
        first_, largest_of_others_);
  }
  return text;
}

}  // namespace moeshift
