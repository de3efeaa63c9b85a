// SPDX-License-Identifier: Apache-2.0
// Which replica a token goes to, and how far it travels to get there.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

/// How the tokens of an expert are shared by its replicas.
enum class DispatchRule : std::uint8_t {
  kEven,     ///< every replica alike (round robin, hash, random: the same in expectation)
  kNearest,  ///< the source rank's own replica, else one of its node, else any (SGLang "static")
};

/// "even", "nearest". @throws InputError for another name.
[[nodiscard]] DispatchRule parse_dispatch_rule(std::string_view name);

struct DispatchOptions {
  DispatchRule rule = DispatchRule::kEven;
  /// Even dispatch only: what the first replica takes of the share the others should have, in
  /// [0, 1]; 0 = fair, 1 = it takes all (the bias of a poor hash, vllm-project/vllm#40810).
  double replica_bias = 0;
};

/// One slot of one layer: the share of its expert's tokens that it computes, by the class of link
/// they arrive over. Tokens start evenly on all ranks (data-parallel attention).
struct SlotShare {
  std::uint32_t expert = 0;
  std::array<double, kLinkClasses> by_link{};  ///< kLocal: already there

  [[nodiscard]] double total() const { return by_link[0] + by_link[1] + by_link[2] + by_link[3]; }
};

/// The shares of one layer, slot by slot; per expert they sum to 1. Empty slots take nothing.
using LayerDispatch = std::vector<SlotShare>;

/// O(slots * nodes) for kNearest, O(slots) otherwise.
/// @throws InputError when an expert has no holder.
[[nodiscard]] LayerDispatch dispatch_shares(const Placement& placement, LayerId layer,
                                            const Topology& topology,
                                            const DispatchOptions& options);

}  // namespace moeshift
