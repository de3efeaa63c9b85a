// SPDX-License-Identifier: Apache-2.0
// Improves a packing by exchanging and re-targeting replicas until the busiest rank meets a target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/plan/fresh/rank_packing.hpp"

namespace moeshift {

/// How far from a local optimum a kick leads.
enum class Kick {
  kSmall,  ///< 2 to 4 exchanges, a quarter of them re-targeted replicas
  kLarge,  ///< 4 to 7, half of them: other replica counts
};

/// How a refinement ended.
enum class Refined {
  kReached,  ///< the busiest rank is within the target
  kStuck,    ///< no exchange and no re-targeting helps
  kTired,    ///< the step budget is used up
};

/// Descends on Phi = sum over ranks of max(0, load - target)^2: unlike the peak itself, Phi sees
/// progress while several ranks are equally busy, and it is 0 exactly when the target is met.
///
/// Each step takes the best swap of a replica of the busiest rank with a lighter one elsewhere;
/// only when none helps, the best replacement: one expert of the busiest rank gets another replica
/// elsewhere in the place of a spare one, or loses one of its own for a colder expert.
/// Deterministic: ties go to the first found in slot order. O(ranks k^2) per swap step.
class LocalSearch {
 public:
  LocalSearch(RankPacking& packing, double target) : packing_(packing), target_(target) {}

  void retarget(double target) { target_ = target; }
  /// At most `max_steps` steps.
  Refined refine(std::size_t max_steps);
  /// Random exchanges, the first on the busiest rank: leaves a local optimum.
  void kick(Rng& rng, Kick size = Kick::kSmall);
  /// Swaps and replacements tried so far.
  [[nodiscard]] std::uint64_t moves_tried() const { return moves_tried_; }

 private:
  struct Swap {
    double gain = 0;
    std::size_t slot = 0;
    std::size_t other = 0;
  };
  struct Replacement {
    double gain = 0;
    std::size_t slot = 0;
    std::uint32_t expert = 0;
  };

  [[nodiscard]] double excess(double load) const {
    const double over = load - target_;
    return over > 0 ? over * over : 0;
  }
  [[nodiscard]] Swap best_swap(std::size_t busiest);
  void best_swap_with(std::size_t busiest, std::size_t other, Swap& best);
  [[nodiscard]] Replacement best_replacement(std::size_t busiest);
  void find_holders();
  [[nodiscard]] double relief(std::uint32_t expert) const;
  void try_replacement(std::size_t slot, std::uint32_t expert, double relief, Replacement& best);

  RankPacking& packing_;
  double target_;
  std::size_t next_partner_ = 0;
  std::uint64_t moves_tried_ = 0;
  std::vector<std::size_t> overloaded_;    ///< ranks above the target
  std::vector<std::size_t> first_holder_;  ///< [experts + 1] into holders_
  std::vector<std::size_t> holders_;       ///< [slots] ranks, by expert
};

}  // namespace moeshift
