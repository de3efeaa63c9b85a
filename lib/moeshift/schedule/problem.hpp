// SPDX-License-Identifier: Apache-2.0
// The start of every schedule: do the two placements go together, and what does each layer need?
#pragma once

#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/core/parallel.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

/// Two placements of one world, checked.
class Problem {
 public:
  /// @throws InputError when layers, experts or ranks disagree, a dead rank does not exist or,
  ///         listing them, when nobody holds experts of `next`; InfeasibleError when only dead
  ///         ranks do.
  Problem(const Placement& old, const Placement& next, const Topology& topology,
          const ExpertSizes& sizes, const std::vector<RankId>& dead_ranks, Threads threads);

  [[nodiscard]] std::size_t layers() const { return next_.layers(); }
  [[nodiscard]] std::size_t experts() const { return next_.experts(); }
  [[nodiscard]] LayerSlots before(LayerId layer) const { return slots(old_, layer, dead_); }
  [[nodiscard]] LayerSlots after(LayerId layer) const { return slots(next_, layer, no_rank_); }
  /// Everything that a layer needs at once.
  [[nodiscard]] const LayerNeeds& needs(LayerId layer) const { return needs_[layer]; }

  /// What a part of a layer needs: from one state of it to another.
  [[nodiscard]] LayerNeeds needs_between(LayerId layer, const LayerSlots& before,
                                         const LayerSlots& after) const;
  [[nodiscard]] const ExpertSizes& sizes() const { return sizes_; }

  /// A plan of the right shape whose layers all stay as they are.
  [[nodiscard]] TransferPlan empty_plan() const;

 private:
  [[nodiscard]] LayerSlots slots(const Placement& placement, LayerId layer,
                                 const IdVector<RankId, bool>& dead) const;
  void check_shapes() const;
  void check_reachable() const;

  const Placement& old_;
  const Placement& next_;
  const ExpertSizes& sizes_;
  std::size_t ranks_;
  IdVector<RankId, bool> dead_;
  IdVector<RankId, bool> no_rank_;
  IdVector<LayerId, LayerNeeds> needs_;
};

}  // namespace moeshift
