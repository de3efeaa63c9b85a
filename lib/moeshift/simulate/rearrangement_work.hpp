// SPDX-License-Identifier: Apache-2.0
// What a transfer plan asks of the machine, layer by layer.
#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

using BytesByLink = std::array<Bytes, kLinkClasses>;

BytesByLink& operator+=(BytesByLink& sum, const BytesByLink& more);

/// One layer of a rearrangement.
struct LayerWork {
  LayerId layer;
  std::size_t batch = 0;  ///< layers of one batch are staged together
  Seconds stage;
  Seconds vote;
  Seconds commit;
  BytesByLink bytes{};
  std::size_t transfers = 0;
};

struct RearrangementWork {
  Seconds connection;  ///< first contact of new pairs
  /// Batches at once that the machine gains from; fewer buffers allow fewer.
  std::size_t in_flight = std::numeric_limits<std::size_t>::max();
  std::vector<LayerWork> layers;  ///< in the order in which they go

  [[nodiscard]] BytesByLink bytes() const;
  [[nodiscard]] std::size_t transfers() const;
};

/// The changed layers of `plan` with their prices; all layers when `unchanged_too` (those that stay
/// still take `handshake`: a vote and a switch of the maps).
[[nodiscard]] RearrangementWork work_of(const TransferPlan& plan, const TransferCost& cost,
                                        bool unchanged_too = false,
                                        const LayerWork& handshake = {});

/// Wall time of staging and committing `layers` one batch after another, at most `in_flight`
/// batches at once; for all changed layers of a plan it is the cost model's total without
/// connections.
[[nodiscard]] Seconds pipelined(std::span<const LayerWork> layers, std::size_t in_flight);

}  // namespace moeshift
