// SPDX-License-Identifier: Apache-2.0
// Ranks that are not alike: loads as times. GPUs of one model differ by binning, power and heat.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "moeshift/cost/balance.hpp"

namespace moeshift {

class JsonReader;

/// The speeds of `ranks` ranks in units of their mean; empty when all are alike.
/// @param speed [ranks] tokens per second up to a common factor, positive; empty = all alike.
/// @throws InputError when there is another number of them, or one is not positive and finite.
[[nodiscard]] std::vector<double> relative_speeds(std::span<const double> speed, std::size_t ranks);

/// Loads as times: of every rank what it takes, in tokens that a rank of mean speed computes
/// meanwhile, so that ranks of one speed keep their loads. O(layers * ranks).
/// @throws InputError as relative_speeds().
[[nodiscard]] RankLoads rank_times(RankLoads loads, std::span<const double> speed);

/// A JSON list of positive numbers: one for every rank, or one for every rank of a node, each node
/// alike.
/// @throws InputError for anything else.
[[nodiscard]] std::vector<double> read_rank_speed(const JsonReader& json, std::size_t ranks,
                                                  std::size_t ranks_per_node);

}  // namespace moeshift
