// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/rank_speed.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

namespace moeshift {

std::vector<double> relative_speeds(std::span<const double> speed, std::size_t ranks) {
  if (speed.empty()) return {};
  if (speed.size() != ranks) {
    throw InputError("", fmt::format("{} rank speeds for {} ranks", speed.size(), ranks));
  }
  double sum = 0;
  for (const double s : speed) {
    if (!(s > 0) || !std::isfinite(s)) {
      throw InputError("", fmt::format("a rank speed is a positive number, not {}", s));
    }
    sum += s;
  }
  const bool alike =
      std::all_of(speed.begin(), speed.end(), [&](double s) { return s == speed.front(); });
  if (alike) return {};
  std::vector<double> relative(speed.begin(), speed.end());
  for (double& s : relative) s *= static_cast<double>(ranks) / sum;
  return relative;
}

RankLoads rank_times(RankLoads loads, std::span<const double> speed) {
  const std::vector<double> relative = relative_speeds(speed, loads.columns());
  if (relative.empty()) return loads;
  for (const LayerId layer : loads.row_ids()) {
    const auto row = loads.row(layer);
    for (std::size_t rank = 0; rank < row.size(); ++rank) row[rank] /= relative[rank];
  }
  return loads;
}

std::vector<double> read_rank_speed(const JsonReader& json, std::size_t ranks,
                                    std::size_t ranks_per_node) {
  std::vector<double> speed;
  for (const JsonReader& item : json.items()) speed.push_back(item.positive_number());
  if (speed.size() == ranks) return speed;
  if (speed.size() != ranks_per_node || ranks % ranks_per_node != 0) {
    json.fail(fmt::format("one speed for each of the {} ranks, or of the {} of a node", ranks,
                          ranks_per_node));
  }
  while (speed.size() < ranks) speed.push_back(speed[speed.size() - ranks_per_node]);
  return speed;
}

}  // namespace moeshift
