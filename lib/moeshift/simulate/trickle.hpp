// SPDX-License-Identifier: Apache-2.0
// What moves next when every step may carry a few bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/simulate/rearrangement_work.hpp"

namespace moeshift {

/// A small change of one layer that is worth its bytes.
struct TrickleMove {
  std::vector<ExpertId> slots;  ///< [slots] the layer afterwards
  LayerWork work;
  Seconds gain;  ///< per step, on the forecast

  [[nodiscard]] Bytes bytes() const;
};

/// The best known move of every layer, and when each layer is to be looked at again: at once after
/// it has changed, else once in `interval` steps, the layers one after another, so that a step
/// looks at few of them.
class TrickleQueue {
 public:
  /// @param first step at which the layers are first looked at.
  TrickleQueue(std::size_t layers, std::uint64_t interval, std::uint64_t first);

  /// Layers to look at before this step, ascending.
  [[nodiscard]] std::vector<LayerId> due(std::uint64_t step) const;
  /// A layer has been looked at: its best move, or none that is worth it.
  void offer(LayerId layer, std::uint64_t step, std::optional<TrickleMove> move);

  /// Takes the moves with the most gain per byte that fit into `budget` together, by falling gain
  /// per byte; the best one always, since a larger move takes several steps. Their layers are due
  /// again. Moves within a rank have no bytes and go first. O(layers log layers).
  [[nodiscard]] std::vector<TrickleMove> take(Bytes budget);
  /// Forgets every move and is due everywhere: the ranks have changed.
  void restart(std::uint64_t step);

 private:
  struct Layer {
    std::uint64_t next_look = 0;
    std::optional<TrickleMove> move;
  };
  std::vector<Layer> layers_;
  std::uint64_t interval_;
  std::uint64_t first_;
};

}  // namespace moeshift
