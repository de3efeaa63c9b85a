// SPDX-License-Identifier: Apache-2.0
// Random variates that are the same with every standard library.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/core/rng.hpp"

namespace moeshift {

/// Gamma(shape, 1); shape > 0. Marsaglia and Tsang, "A simple method for generating gamma
/// variables", 2000; shapes below 1 by their boost.
[[nodiscard]] double sample_gamma(Rng& rng, double shape);

/// Number of successes of `trials` with probability `p` each. Inversion while trials * p < 10,
/// otherwise BTRS (Hoermann, "The generation of binomial random variates", 1993).
[[nodiscard]] std::int64_t sample_binomial(Rng& rng, std::int64_t trials, double p);

/// `trials` draws over shares.size() bins, added to `counts`; shares >= 0, not all 0, any sum.
/// The counts added sum to exactly `trials`. O(bins).
void sample_multinomial(Rng& rng, std::int64_t trials, std::span<const double> shares,
                        std::span<std::int64_t> counts);

/// Shares around `means` (which sum to 1) such that a multinomial of `trials` draws from them has
/// `dispersion` times the variance of one from `means`: Dirichlet with concentration
/// (trials - dispersion) / (dispersion - 1). `dispersion` <= 1 gives `means` back.
[[nodiscard]] std::vector<double> sample_dirichlet(Rng& rng, std::span<const double> means,
                                                   double trials, double dispersion);

}  // namespace moeshift
