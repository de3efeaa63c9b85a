// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/assignment.hpp"

#include <limits>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kNobody = std::numeric_limits<std::size_t>::max();

/// The dual solution and the matching so far; column n is the virtual root of each search.
struct Matching {
  std::vector<double> row_price;
  std::vector<double> column_price;
  std::vector<std::size_t> row_of;
};

void augment(std::span<const double> cost, std::size_t n, std::size_t row, Matching& matching) {
  std::vector<double> slack(n, std::numeric_limits<double>::infinity());
  std::vector<std::size_t> previous(n, n);
  std::vector<bool> reached(n + 1, false);
  matching.row_of[n] = row;
  std::size_t column = n;
  do {
    reached[column] = true;
    const std::size_t from = matching.row_of[column];
    double least = std::numeric_limits<double>::infinity();
    std::size_t next = n;
    for (std::size_t j = 0; j < n; ++j) {
      if (reached[j]) continue;
      const double reduced =
          cost[from * n + j] - matching.row_price[from] - matching.column_price[j];
      if (reduced < slack[j]) {
        slack[j] = reduced;
        previous[j] = column;
      }
      if (slack[j] < least) {
        least = slack[j];
        next = j;
      }
    }
    for (std::size_t j = 0; j <= n; ++j) {
      if (reached[j]) {
        matching.row_price[matching.row_of[j]] += least;
        matching.column_price[j] -= least;
      } else if (j < n) {
        slack[j] -= least;
      }
    }
    column = next;
  } while (matching.row_of[column] != kNobody);
  while (column != n) {
    matching.row_of[column] = matching.row_of[previous[column]];
    column = previous[column];
  }
}

double cost_of(std::span<const double> cost, std::size_t n, std::span<const std::uint32_t> chosen) {
  double sum = 0;
  for (std::size_t row = 0; row < n; ++row) sum += cost[row * n + chosen[row]];
  return sum;
}

}  // namespace

std::vector<std::uint32_t> min_cost_assignment(std::span<const double> cost, std::size_t n) {
  MOESHIFT_CHECK(cost.size() == n * n);
  Matching matching{std::vector<double>(n, 0), std::vector<double>(n + 1, 0),
                    std::vector<std::size_t>(n + 1, kNobody)};
  for (std::size_t row = 0; row < n; ++row) augment(cost, n, row, matching);
  std::vector<std::uint32_t> chosen(n);
  for (std::size_t column = 0; column < n; ++column) {
    chosen[matching.row_of[column]] = static_cast<std::uint32_t>(column);
  }
  std::vector<std::uint32_t> identity(n);
  std::iota(identity.begin(), identity.end(), 0U);
  return cost_of(cost, n, chosen) < cost_of(cost, n, identity) ? chosen : identity;
}

}  // namespace moeshift
