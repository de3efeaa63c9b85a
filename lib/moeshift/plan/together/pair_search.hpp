// SPDX-License-Identifier: Apache-2.0
// Exchanges replicas between ranks so that experts chosen together live together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

/// Who is chosen with whom, per token; expert `experts()` is an empty slot.
class PairModel {
 public:
  explicit PairModel(const LayerTogether& together);

  [[nodiscard]] std::size_t experts() const { return experts_; }
  /// How many tokens choose both, per token; 0 for an expert with itself. [experts + 1]
  [[nodiscard]] std::span<const float> with(std::size_t expert) const {
    return std::span(together_).subspan(expert * (experts_ + 1), experts_ + 1);
  }

 private:
  std::size_t experts_;
  std::vector<float> together_;
};

/// What the search may look at, beside pairs.
struct PairSearchProblem {
  const PairModel& pairs;
  std::span<const std::uint32_t> node_of;  ///< [ranks], ascending
  std::size_t slots_per_rank = 1;
  /// Loads of the experts to balance, [vectors][experts]: the sum, and windows where each counts.
  std::vector<std::vector<double>> loads;
  std::span<const double> speed;  ///< [ranks], or empty: alike
  double rank_weight = 1;         ///< what a pair that meets on a rank is worth,
  double node_weight = 0;         ///< and one that meets in a node
  bool within_nodes = false;      ///< replicas stay on their node
  std::span<const float> prices;  ///< [ranks, experts] of holding what one does not hold; or empty
  double price = 0;               ///< of 1 in `prices`, in worth of pairs
};

/// How hard to look.
struct SearchEffort {
  std::size_t tries = 0;   ///< random exchanges
  std::size_t passes = 0;  ///< over all exchanges, at the end
  double heat = 0.4;       ///< of the first tries, in usual changes of worth
};

/// A layer's placement under exchange.
///
/// Worth = rank_weight * sum over ranks of E[pairs of a token's experts that meet there] + the same
/// over nodes, each replica taking its even share: what fewer copies come from, linear in the pair
/// counts, so that an exchange is judged in O(1) and made in O(experts). Loads over `caps` are
/// charged, and at the end not allowed: simulated annealing (Kirkpatrick 1983) with the charge
/// rising, then descent.
class PairSearch {
 public:
  /// @param slots [ranks * slots_per_rank] experts, `pairs.experts()` = empty.
  PairSearch(PairSearchProblem problem, std::vector<std::uint32_t> slots);

  /// Max over ranks of load / mean of every load vector, times 1 / speed.
  [[nodiscard]] std::vector<double> imbalances() const;
  /// Looks for more worth under `caps` on imbalances, one per load vector, with random exchanges
  /// and then by passes over all, as long as they improve; loads that are still over a cap are
  /// brought down as far as exchanges do it.
  void run(std::span<const double> caps, const SearchEffort& effort, Rng& rng);

  /// Loads of the ranks by the first vector, mean 1, offsets included.
  [[nodiscard]] std::span<const double> loads() const { return load_.front(); }
  /// What ranks carry beside even shares, in the same unit; replaces what was said before.
  void offset(std::span<const double> of_rank);

  [[nodiscard]] const std::vector<std::uint32_t>& slots() const { return slots_; }
  [[nodiscard]] double worth() const;
  [[nodiscard]] std::uint64_t tried() const { return tried_; }
  /// Nothing is above its cap.
  [[nodiscard]] bool fits(std::span<const double> caps) const;

 private:
  struct Change {
    double worth = 0;   ///< gained
    double excess = 0;  ///< relative load over caps that is added
  };

  [[nodiscard]] std::size_t rank_of(std::size_t slot) const {
    return slot / problem_.slots_per_rank;
  }
  [[nodiscard]] bool may_exchange(std::size_t i, std::size_t j) const;
  [[nodiscard]] Change exchange_of(std::size_t i, std::size_t j) const;
  [[nodiscard]] double excess_of(std::size_t rank, std::size_t vector, double load) const;
  void exchange(std::size_t i, std::size_t j);
  [[nodiscard]] double total_excess() const;
  void add(std::size_t rank, std::uint32_t expert, double share);
  void put(std::size_t slot, std::uint32_t expert);
  [[nodiscard]] bool may_retarget(std::size_t slot, std::uint32_t expert) const;
  void retarget(std::size_t slot, std::uint32_t expert);
  bool try_retarget(double charge, double heat, Rng& rng);
  bool try_exchange(double charge, double heat, Rng& rng);
  bool descend_once();
  bool relieve_once();
  bool improve(std::size_t i, std::size_t j);
  [[nodiscard]] double usual_change(Rng& rng);
  [[nodiscard]] double price_of(std::size_t rank, std::uint32_t expert) const;

  PairSearchProblem problem_;
  std::size_t ranks_;
  std::size_t nodes_;
  std::size_t width_;  ///< experts, and the empty one
  std::vector<std::uint32_t> slots_;
  std::vector<std::uint32_t> counts_;  ///< [experts + 1] replicas
  std::vector<double> share_;          ///< [experts + 1] 1 / replicas
  std::vector<std::uint8_t> on_rank_;  ///< [ranks, width]
  std::vector<float> beside_rank_;     ///< [ranks, width] shares there that go with an expert
  std::vector<float> beside_node_;     ///< [nodes, width]
  std::vector<double> rank_pairs_, node_pairs_;
  std::vector<std::vector<double>> weight_;  ///< [vectors][width] of an expert, mean rank = 1
  std::vector<std::vector<double>> load_;    ///< [vectors][ranks]
  std::vector<double> caps_;
  std::vector<double> offsets_;  ///< [ranks]
  double charges_ = 0;           ///< sum of prices of what is held
  std::uint64_t tried_ = 0;
  bool spare_ = false;  ///< some expert has several replicas
};

}  // namespace moeshift
