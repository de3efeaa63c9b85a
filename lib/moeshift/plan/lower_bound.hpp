// SPDX-License-Identifier: Apache-2.0
// Certified lower bounds on the busiest rank: what no placement of a shape can beat.
//
// All hold for even dispatch, `ranks` ranks of k = slots / ranks slots, every slot filled, every
// expert with at least one replica, replicas of one expert free to share a rank. Notation: E
// experts with loads w, R = slots - E extras.
#pragma once

#include <cstddef>
#include <span>

namespace moeshift {

/// Some rank carries at least the mean; and an expert has at most R + 1 replicas, so that some rank
/// carries at least the hottest load / (R + 1). O(E).
[[nodiscard]] double mean_bound(std::span<const double> load, std::size_t ranks, std::size_t slots);

/// The a hottest experts with their companions, for the best a (never below mean_bound).
///
/// Let X extras serve experts outside the a hottest, whose a + R - X replicas then sit on m ranks
/// beside k m - (a + R - X) others. Lemma: q replicas of experts that own X extras weigh at least
/// as much as the q - X lightest of those experts, since c of r replicas weigh w c / r >=
/// w max(0, c - r + 1). So the m ranks carry a known minimum, and one of them 1/m of it; minimise
/// over X and m, maximise over a. O(E log E) in practice, O(E R log k) at worst.
[[nodiscard]] double prefix_bound(std::span<const double> load, std::size_t ranks,
                                  std::size_t slots);

/// Threshold test (never below `known`): below a threshold T every expert needs at least
/// ceil(w / T) replicas, which leaves X extras; k - 1 companions of any replica then weigh at least
/// sigma (lemma above), so every replica must weigh at most T - sigma, and T is impossible when
/// that takes more than `slots` replicas. Bisects T in [known, ceiling].
/// @param ceiling an achieved peak; @return the largest T found impossible. O(E log E) per step.
[[nodiscard]] double companion_bound(std::span<const double> load, std::size_t ranks,
                                     std::size_t slots, double known, double ceiling);

/// For k = 2 (never below `known`): dual functions of the pairing. Within T, whatever weighs more
/// than T - x needs a partner of at most x; with multiplier mu on the number of slots every expert
/// picks its cheapest count, and T is impossible when even that sum is positive. Bisects T over a
/// grid of x and the best mu in [1, 10]. O(E) per (T, x, mu): milliseconds, for reports.
[[nodiscard]] double pair_bound(std::span<const double> load, std::size_t ranks, std::size_t slots,
                                double known, double ceiling);

/// The quick bounds together: max of mean_bound and prefix_bound.
[[nodiscard]] double lower_bound(std::span<const double> load, std::size_t ranks,
                                 std::size_t slots);

/// All bounds together; `ceiling` is the peak of any known placement.
[[nodiscard]] double tight_lower_bound(std::span<const double> load, std::size_t ranks,
                                       std::size_t slots, double ceiling);

}  // namespace moeshift
