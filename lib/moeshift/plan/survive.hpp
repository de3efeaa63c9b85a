// SPDX-License-Identifier: Apache-2.0
// Coverage after losses, the rule: every expert on more ranks (or nodes) than may fail at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moeshift/core/ids.hpp"

namespace moeshift {

/// Losses after which every expert must still have a holder.
struct Survive {
  std::size_t losses = 0;  ///< any so many at once; 0 asks for nothing
  bool by_node = false;    ///< nodes are lost, not single ranks
};

/// "2" or "ranks:2": any two ranks; "nodes:1": any node.
/// @throws InputError for anything else.
[[nodiscard]] Survive survive_rule(const std::string& text);

/// A layer's ranks, as far as losses concern them.
struct Exposure {
  Survive survive;
  std::span<const std::uint32_t> node_of;  ///< [ranks] ascending
  std::size_t slots_per_rank = 0;
  std::size_t experts = 0;
};

/// What fails as one: a rank, or the ranks of a node.
struct FailureDomain {
  std::size_t first_rank = 0;
  std::size_t ranks = 0;
};
[[nodiscard]] std::vector<FailureDomain> failure_domains(const Exposure& exposure);

/// @throws InfeasibleError, naming the slots that would do, unless every expert can be on
///         `losses` + 1 active ranks (nodes). A placement exists exactly when there are that many
///         and sum over ranks (nodes) of min(slots, experts) >= (losses + 1) experts (Gale, Ryser).
void check_survivable(const Exposure& exposure);

/// True when no loss of that many ranks (nodes) takes the last replica of an expert.
/// @param slots [slots] rank after rank.
[[nodiscard]] bool survives(const Exposure& exposure, std::span<const ExpertId> slots);

}  // namespace moeshift
