// SPDX-License-Identifier: Apache-2.0
// How many copies of a token dispatch sends, to which ranks and nodes, and how far.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/routing/replica_shares.hpp"
#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

/// What the figures of a placement rest on.
enum class CopiesFrom : std::uint8_t {
  kTokens,        ///< counted on sampled tokens
  kPairs,         ///< estimated from pair counts
  kIndependence,  ///< from loads alone, as if a token's experts had nothing to do with each other
};

/// "tokens", "pairs", "independence".
[[nodiscard]] std::string_view name_of(CopiesFrom from);

/// Expected copies per token of one layer under one placement. A copy goes to every rank that
/// computes at least one of the token's experts; the rank where the token starts included.
struct LayerCopies {
  CopiesFrom from = CopiesFrom::kIndependence;
  double by_rank = 0;           ///< distinct ranks, in [1, min(top_k, ranks)]
  double by_node = 0;           ///< distinct nodes
  std::vector<double> at_rank;  ///< [ranks] chance that a token comes to each; sums to by_rank
  std::vector<double> at_node;  ///< [nodes] likewise
  std::vector<std::array<double, kLinkClasses>> arriving;  ///< [ranks] by how far they travel
  std::vector<double> entering;  ///< [nodes] tokens from other nodes, once per node

  /// Copies per token that travel over each class of link.
  [[nodiscard]] std::array<double, kLinkClasses> by_link() const;
  /// Copies per token that cross to another node when each is sent once per node.
  [[nodiscard]] double crossing() const;
};

/// The chance that at least one of a token's experts is in a set, from the mean number that are and
/// the mean number of pairs that are.
///
/// @param most of them that can be: the smaller of top_k and the set.
/// Polya's urn with those two moments (a beta-binomial; hypergeometric where the set is chosen less
/// in common than by chance): exact for independent choices and for choices without replacement.
/// O(top_k).
[[nodiscard]] double chance_of_any(double mean, double pairs, std::size_t most);

/// Counted on the tokens of `sample`, each replica choice in expectation where it is by chance.
/// Tokens whose source is unknown start evenly on the ranks that are not silent.
/// O(tokens top_k) for kEven and kVisitedFirst, O(tokens top_k ranks) for kNearest without sources.
/// @param silent ranks on which no token starts, ascending.
/// @throws InputError when a chosen expert has no holder, or the sample is empty.
[[nodiscard]] LayerCopies counted_copies(const RouteSample& sample, const Placement& placement,
                                         LayerId layer, const Topology& topology,
                                         ReplicaChoice choice, std::span<const RankId> silent = {});

/// Estimated from pair counts with chance_of_any(); sources are even. O(slots^2 / ranks), times
/// ranks for kNearest. Not for kVisitedFirst, which only whole tokens tell.
/// @throws InputError when an expert with load has no holder.
[[nodiscard]] LayerCopies estimated_copies(const LayerTogether& together, std::size_t top_k,
                                           const Placement& placement, LayerId layer,
                                           const Topology& topology, ReplicaChoice choice,
                                           std::span<const RankId> silent = {});

/// Routing of a model that limits tokens to some of its groups of consecutive experts.
struct GroupLimit {
  std::size_t groups = 1;
  std::size_t used = 1;  ///< groups that a token may choose from
};

/// From loads alone: a token takes expert e with the chance top_k load_e / sum, and two experts as
/// often as the product of that says, scaled so that a token has top_k different ones; under a
/// group limit, after `used` groups were chosen (each as often as its load says). An estimate: real
/// tokens choose together what belongs together, and need fewer copies.
[[nodiscard]] LayerCopies independent_copies(std::span<const double> load, std::size_t top_k,
                                             const GroupLimit& limit, const Placement& placement,
                                             LayerId layer, const Topology& topology,
                                             ReplicaChoice choice,
                                             std::span<const RankId> silent = {});

/// What a layer may be placed in.
struct CopiesShape {
  std::size_t parts = 1;     ///< ranks, or nodes
  std::size_t per_part = 1;  ///< most slots that one of them has
  std::size_t slots = 1;     ///< of all parts, >= experts
};

/// No placement of this shape needs fewer copies per token on these tokens, whatever replica each
/// takes.
///
/// Every token needs ceil(top_k / slots_per_rank). And a token with x experts on a rank saves x - 1
/// copies there, (x - 1) / x for each: an expert with y partners beside it saves y / (1 + y), which
/// is concave, so on average no more than at its mean number of partners (Jensen; piecewise linear
/// between whole numbers), which is at most what its best partners for all its replicas add up to.
/// Spare slots go where they would save most; concave, so greedily is best. O(E^2 log E).
[[nodiscard]] double copies_lower_bound(const LayerTogether& together, std::size_t top_k,
                                        const CopiesShape& shape);

}  // namespace moeshift
