// SPDX-License-Identifier: Apache-2.0
#include "moeshift/calibrate/least_squares.hpp"

#include <algorithm>
#include <cmath>

#include <Eigen/Dense>

namespace moeshift {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int kReweightings = 5;
constexpr double kHuber = 1.345;  // 95 % efficiency under normal errors
constexpr double kMadToDeviation = 1.4826;

/// Columns of `design` whose flag is set.
MatrixXd columns(const MatrixXd& design, const std::vector<bool>& chosen) {
  MatrixXd part(design.rows(), std::count(chosen.begin(), chosen.end(), true));
  Index next = 0;
  for (Index i = 0; i < design.cols(); ++i) {
    if (chosen[static_cast<std::size_t>(i)]) part.col(next++) = design.col(i);
  }
  return part;
}

VectorXd solve_free(const MatrixXd& design, const VectorXd& target, const std::vector<bool>& free) {
  const VectorXd part = columns(design, free).colPivHouseholderQr().solve(target);
  VectorXd all = VectorXd::Zero(design.cols());
  Index next = 0;
  for (Index i = 0; i < design.cols(); ++i) {
    if (free[static_cast<std::size_t>(i)]) all(i) = part(next++);
  }
  return all;
}

/// Steps from `from` towards `to` as far as nothing turns negative; what hits zero leaves `free`.
VectorXd step_to_border(const VectorXd& from, const VectorXd& to, std::vector<bool>& free) {
  double share = 1;
  for (Index i = 0; i < to.size(); ++i) {
    if (free[static_cast<std::size_t>(i)] && to(i) <= 0) {
      share = std::min(share, from(i) / (from(i) - to(i)));
    }
  }
  VectorXd result = from + share * (to - from);
  for (Index i = 0; i < result.size(); ++i) {
    if (free[static_cast<std::size_t>(i)] && result(i) <= 1e-12) {
      free[static_cast<std::size_t>(i)] = false;
      result(i) = 0;
    }
  }
  return result;
}

/// Minimises |design x - target| over x >= 0.
VectorXd non_negative(const MatrixXd& design, const VectorXd& target) {
  std::vector<bool> free(static_cast<std::size_t>(design.cols()), false);
  VectorXd x = VectorXd::Zero(design.cols());
  for (Index passes = 0; passes < 3 * design.cols(); ++passes) {
    const VectorXd gradient = design.transpose() * (target - design * x);
    Index best = -1;
    for (Index i = 0; i < gradient.size(); ++i) {
      if (free[static_cast<std::size_t>(i)] || gradient(i) <= 1e-10) continue;
      if (best < 0 || gradient(i) > gradient(best)) best = i;
    }
    if (best < 0) break;
    free[static_cast<std::size_t>(best)] = true;
    VectorXd candidate = solve_free(design, target, free);
    while (std::count(free.begin(), free.end(), true) > 0 &&
           (columns(candidate.transpose(), free).array() <= 0).any()) {
      x = step_to_border(x, candidate, free);
      candidate = solve_free(design, target, free);
    }
    x = candidate;
  }
  return x;
}

VectorXd huber_weights(const VectorXd& errors) {
  std::vector<double> sizes(static_cast<std::size_t>(errors.size()));
  for (Index i = 0; i < errors.size(); ++i)
    sizes[static_cast<std::size_t>(i)] = std::abs(errors(i));
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), middle, sizes.end());
  const double deviation = std::max(*middle * kMadToDeviation, 1e-9);
  return errors.unaryExpr([&](double error) {
    return std::min(1.0, kHuber * deviation / std::max(std::abs(error), 1e-300));
  });
}

/// Half widths of the 95 % intervals: 1.96 sigma sqrt(diag((X'X)^-1)) over the positive terms.
void add_intervals(const MatrixXd& design, const VectorXd& errors, const VectorXd& scale,
                   std::vector<Coefficient>& fitted) {
  std::vector<bool> used;
  for (const Coefficient& c : fitted) used.push_back(c.value > 0);
  const MatrixXd part = columns(design, used);
  const Index freedom = part.rows() - part.cols();
  if (part.cols() == 0 || freedom < 1) return;
  const double variance = errors.squaredNorm() / static_cast<double>(freedom);
  const MatrixXd covariance =
      (part.transpose() * part).completeOrthogonalDecomposition().pseudoInverse() * variance;
  Index next = 0;
  for (std::size_t i = 0; i < fitted.size(); ++i) {
    if (!used[i]) continue;
    fitted[i].half_width =
        1.96 * std::sqrt(std::max(covariance(next, next), 0.0)) / scale(static_cast<Index>(i));
    ++next;
  }
}

}  // namespace

std::vector<Coefficient> fit_non_negative(const std::vector<Equation>& equations,
                                          std::size_t terms) {
  const auto rows = static_cast<Index>(equations.size());
  MatrixXd design(rows, static_cast<Index>(terms));
  for (Index row = 0; row < rows; ++row) {
    const Equation& equation = equations[static_cast<std::size_t>(row)];
    for (Index i = 0; i < design.cols(); ++i) {
      design(row, i) = equation.factors[static_cast<std::size_t>(i)] / equation.value;
    }
  }
  VectorXd scale = design.colwise().norm();
  for (Index i = 0; i < scale.size(); ++i) scale(i) = scale(i) > 0 ? scale(i) : 1;
  const MatrixXd scaled = design * scale.cwiseInverse().asDiagonal();

  VectorXd weights = VectorXd::Ones(rows);
  VectorXd x;
  VectorXd errors;
  for (int pass = 0; pass <= kReweightings; ++pass) {
    const VectorXd root = weights.cwiseSqrt();
    x = non_negative(root.asDiagonal() * scaled, root);
    errors = scaled * x - VectorXd::Ones(rows);
    weights = huber_weights(errors);
  }
  std::vector<Coefficient> fitted(terms);
  for (std::size_t i = 0; i < terms; ++i) {
    const auto column = static_cast<Index>(i);
    fitted[i].value = x(column) / scale(column);
    fitted[i].rows = static_cast<std::size_t>((design.col(column).array() != 0).count());
  }
  add_intervals(scaled, errors, scale, fitted);
  return fitted;
}

}  // namespace moeshift
