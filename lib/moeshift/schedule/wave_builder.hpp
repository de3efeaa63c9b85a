// SPDX-License-Identifier: Apache-2.0
// Copies, transfers and buffers that take a layer from one state to another.
#pragma once

#include <cstdint>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/layer_needs.hpp"
#include "moeshift/schedule/rounds.hpp"
#include "moeshift/schedule/routes.hpp"

namespace moeshift {

struct WaveOptions {
  double inter_round_per_intra_round = 8;
  /// Receive into the final slot where nobody reads its old content in that group or later. The
  /// layer is then neither old nor new until the wave is committed.
  bool direct = false;
};

/// Routes and orders all that `needs` asks for.
///
/// Local moves happen in place at the commit, after which staged experts are copied to their slots.
/// @param buffers_used staging buffers per rank; those handed out are counted on.
[[nodiscard]] Wave build_wave(const LayerNeeds& needs, const Topology& topology,
                              const WaveOptions& options,
                              IdVector<RankId, std::uint32_t>& buffers_used);

/// Copies, transfers and buffers for hops that were chosen and timed elsewhere.
[[nodiscard]] Wave build_wave(const LayerNeeds& needs, const std::vector<Hop>& hops,
                              const std::vector<HopTime>& times, bool direct,
                              IdVector<RankId, std::uint32_t>& buffers_used);

}  // namespace moeshift
