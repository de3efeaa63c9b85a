// SPDX-License-Identifier: Apache-2.0
// Tokens that choose experts in cliques, from a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "moeshift/formats/routes_reader.hpp"

namespace moeshift {

/// Everything that decides synthetic routes.
///
/// The experts of a layer are cut into E / c cliques of c. A token has a home clique, the i-th with
/// a chance in proportion to (i + 1)^-skew, and takes m of its k experts there, m binomial (k,
/// affinity) as far as clique and rest are large enough: evenly among the clique's, and the others
/// evenly among all other experts. So two experts of clique h are chosen together with the chance
///   p_h E[m (m - 1)] / (c (c - 1)) + (1 - p_h) E[(k - m) (k - m - 1)] / ((E - c) (E - c - 1)),
/// and with affinity c / E and skew 0 by chance alone. Each layer has cliques of its own. At a
/// change of domain all experts are dealt anew; between steps a share `drift` of them changes
/// places.
struct SyntheticRoutes {
  std::size_t num_layers = 4;
  std::size_t num_experts = 32;
  std::size_t top_k = 4;
  std::size_t num_steps = 8;
  std::size_t tokens_per_step = 1024;
  std::size_t clique = 4;                        ///< c; divides num_experts
  double affinity = 0.7;                         ///< in [0, 1]
  double skew = 0.5;                             ///< >= 0
  double drift = 0;                              ///< in [0, 1]
  std::vector<std::size_t> domain_changes = {};  ///< steps before which the domain changes
  std::uint64_t seed = 0;
};

/// Makes the routes step by step. Equal options give equal routes; a layer draws from a stream of
/// its own. O(layers * tokens * top_k) a step.
/// @throws InputError for options that make no sense.
[[nodiscard]] std::unique_ptr<RoutesReader> make_synthetic_routes(const SyntheticRoutes& options);

/// The chance that a token chooses two given experts of clique `home` of a layer together.
[[nodiscard]] double clique_pair_chance(const SyntheticRoutes& options, std::size_t home);

/// The clique of every expert of a layer at a step, [experts].
[[nodiscard]] std::vector<std::size_t> cliques_at(const SyntheticRoutes& options, std::size_t layer,
                                                  std::size_t step);

}  // namespace moeshift
