// SPDX-License-Identifier: Apache-2.0
// Files of one dump and rank each whose names alone say when they were written (SGLang's first
// CSVs). Internal to formats/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/formats/joined/joined_trace.hpp"

namespace moeshift {

/// 1700000000.5 of "..._timestamp1700000000.5.csv", in seconds.
[[nodiscard]] std::optional<double> time_in_name(const std::string& path);

/// Orders the files of each rank by the times in their names and gives their only step the number
/// of its dump. Files of two ranks are of one dump where their times lie nearer than half of what
/// lies between two dumps of one rank: ranks write when they get to it.
///
/// Where a file has no time, or clocks are so far apart that no dump would have a file of each
/// rank, nothing is ordered: the i-th file of each rank is of the i-th dump.
/// @return what is to be said: files that are missing, or that pairs are by order.
/// @throws InputError where neither times nor numbers of files say which belong together.
[[nodiscard]] std::vector<std::string> pair_dumps(
    std::map<std::int64_t, std::vector<TracePart>>& by_rank);

}  // namespace moeshift
