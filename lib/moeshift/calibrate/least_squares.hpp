// SPDX-License-Identifier: Apache-2.0
// Linear models with coefficients that cannot be negative, robust against outliers.
#pragma once

#include <cstddef>
#include <vector>

namespace moeshift {

/// One equation: sum over terms of factor * coefficient = value, value > 0.
struct Equation {
  std::vector<double> factors;  ///< [terms]
  double value = 0;
};

struct Coefficient {
  double value = 0;       ///< >= 0
  double half_width = 0;  ///< of the 95 % confidence interval; 0 when not determined
  std::size_t rows = 0;   ///< equations that say something about it
};

/// Finds coefficients >= 0 that minimise the sum of Huber losses of the relative errors
/// (sum / value - 1), so that a small time weighs as much as a large one and a straggler little.
///
/// Weighted non-negative least squares by an active set (Lawson and Hanson 1974, chapter 23) over
/// Eigen's column-pivoting QR, reweighted until it settles. A term that no equation uses is 0.
/// @return [terms].
[[nodiscard]] std::vector<Coefficient> fit_non_negative(const std::vector<Equation>& equations,
                                                        std::size_t terms);

}  // namespace moeshift
