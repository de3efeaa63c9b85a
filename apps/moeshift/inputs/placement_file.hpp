// SPDX-License-Identifier: Apache-2.0
// A placement that a user names: a plan or a file of any engine.
#pragma once

#include <string>
#include <string_view>

#include "moeshift/formats/placement_format.hpp"

namespace moeshift::cli {

class Session;

/// Stands in a name for 0, 1, ...: the files of all ranks.
constexpr std::string_view kRankInName = "{rank}";
/// `pattern` with the number of a rank in it.
[[nodiscard]] std::string name_of_rank(std::string pattern, std::size_t rank);

/// How many files of the ranks 0, 1, ... lie there; 0 where `pattern` names no rank.
[[nodiscard]] std::size_t count_rank_files(const std::string& pattern);

/// A name with "{rank}" in it is that of LightLLM's files, one per rank.
/// @param ranks_option what says how many ranks there are where the file does not.
/// @param purpose tells files apart that may not both be standard input.
/// @throws InputError
[[nodiscard]] PlacementFile read_placement_file(Session& session, const std::string& path,
                                                const PlacementHints& hints,
                                                const std::string& ranks_option = "--ranks",
                                                const std::string& purpose = "placement");

}  // namespace moeshift::cli
