// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/engines/repair.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace moeshift {
namespace {

/// One layer while its slots are repaired.
class LayerRepair {
 public:
  LayerRepair(std::span<ExpertId> slots, std::size_t slots_per_rank, std::size_t experts,
              std::span<const double> load)
      : slots_(slots), per_rank_(slots_per_rank), counts_(experts, 0), load_(experts) {
    for (const ExpertId expert : slots) {
      if (!expert.is_none()) ++counts_[expert.index()];
    }
    for (std::size_t e = 0; e < experts; ++e) {
      load_[e] = load.empty() ? static_cast<double>(counts_[e]) : load[e];
    }
  }

  void run(bool fill, bool distinct, Repairs& repairs) {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      const bool empty = slots_[slot].is_none();
      if (empty ? !fill : !(distinct && held_before(slot))) continue;
      if (!put_best(slot)) continue;
      ++(empty ? repairs.filled : repairs.replaced);
    }
  }

 private:
  [[nodiscard]] std::span<const ExpertId> rank_of(std::size_t slot) const {
    return std::span<const ExpertId>(slots_).subspan(slot / per_rank_ * per_rank_, per_rank_);
  }
  [[nodiscard]] bool held_before(std::size_t slot) const {
    const auto earlier = rank_of(slot).first(slot % per_rank_);
    return std::find(earlier.begin(), earlier.end(), slots_[slot]) != earlier.end();
  }
  /// What a replica of the expert carries; without a holder more than any.
  [[nodiscard]] double carried(std::size_t expert) const {
    if (counts_[expert] == 0) return std::numeric_limits<double>::infinity();
    return load_[expert] / static_cast<double>(counts_[expert]);
  }
  /// False where the rank holds every expert already.
  bool put_best(std::size_t slot) {
    const auto held = rank_of(slot);
    std::optional<std::size_t> best;
    for (std::size_t e = 0; e < counts_.size(); ++e) {
      if (std::find(held.begin(), held.end(), ExpertId(e)) != held.end()) continue;
      if (!best || carried(e) > carried(*best)) best = e;
    }
    if (!best && !slots_[slot].is_none()) return false;
    if (!best) best = hottest();
    if (!slots_[slot].is_none()) --counts_[slots_[slot].index()];
    ++counts_[*best];
    slots_[slot] = ExpertId(*best);
    return true;
  }
  [[nodiscard]] std::size_t hottest() const {
    std::size_t best = 0;
    for (std::size_t e = 1; e < counts_.size(); ++e) {
      if (carried(e) > carried(best)) best = e;
    }
    return best;
  }

  std::span<ExpertId> slots_;
  std::size_t per_rank_;
  std::vector<std::size_t> counts_;
  std::vector<double> load_;
};

bool holds_nothing(const Placement& placement, RankId rank) {
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    const auto slots = placement.rank_slots(layer, rank);
    if (std::any_of(slots.begin(), slots.end(), [](ExpertId e) { return !e.is_none(); })) {
      return false;
    }
  }
  return true;
}

}  // namespace

Placement repaired(const Placement& placement, const LoadMatrix& load, bool fill, bool distinct,
                   Repairs& repairs) {
  IdMatrix<LayerId, SlotId, ExpertId> slots = placement.physical_to_logical();
  for (const RankId rank : all_ids<RankId>(placement.ranks())) {
    if (fill && holds_nothing(placement, rank)) repairs.revived.push_back(rank);
  }
  for (const LayerId layer : slots.row_ids()) {
    const bool known = layer.index() < load.rows() && layer_total(load, layer) > 0;
    LayerRepair repair(slots.row(layer), placement.slots_per_rank(), placement.experts(),
                       known ? load.row(layer) : std::span<const double>());
    const std::size_t before = repairs.filled;
    repair.run(fill, distinct, repairs);
    if (!known) repairs.by_replicas += repairs.filled - before;
  }
  return {placement.experts(), placement.ranks(), std::move(slots)};
}

}  // namespace moeshift
