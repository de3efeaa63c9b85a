// SPDX-License-Identifier: Apache-2.0
// LightLLM's redundant experts, a file per rank: ep_redundancy_expert_config_path.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "moeshift/formats/placement_format.hpp"

namespace moeshift {

/// The file of one rank.
struct RankText {
  std::string name;  ///< for errors
  std::string text;
};

/// {"redundancy_expert_num": n, "<layer>": [n experts], "default": [n experts]} of every rank, in
/// their order: a rank holds its share of the experts in order, then those of its file.
///
/// The files do not say how many experts there are: `hints.num_experts` or `likely_experts` must.
/// Without "default" the layers are those that the files name. With it they are all of the model:
/// `hints.layer_ids` and those that are named; where neither says any, `hints.num_layers` of them.
/// Source: ModelTC/lightllm lightllm/utils/env_utils.py (get_redundancy_expert_ids).
/// @throws InputError
[[nodiscard]] PlacementFile read_lightllm(const std::vector<RankText>& files,
                                          const PlacementHints& hints);

/// What LightLLM reads and then hangs on: one redundant expert per rank. Else "".
[[nodiscard]] std::string lightllm_caution(const PlacementFile& file);

/// The file of `rank`. @throws InputError when a rank lacks an expert of its share.
void write_lightllm(std::ostream& out, const PlacementFile& file, std::size_t rank);

}  // namespace moeshift
