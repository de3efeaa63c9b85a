// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/routing/copies.hpp"

namespace moeshift {
namespace {

/// y / (1 + y) at whole numbers, linear in between.
double saved_with(double partners) {
  const double low = std::floor(partners);
  const auto at = [](double y) { return y / (1 + y); };
  return at(low) + (partners - low) * (at(low + 1) - at(low));
}

/// What one expert can save at most with so many replicas, in copies of all tokens.
class ExpertSavings {
 public:
  ExpertSavings(const PairCounts& pairs, std::size_t expert, std::size_t beside, std::size_t top_k)
      : tokens_(pairs(expert, expert)),
        beside_(beside),
        most_partners_(static_cast<double>(std::min(beside, top_k - 1))) {
    for (std::size_t other = 0; other < pairs.experts(); ++other) {
      if (other != expert) best_.push_back(pairs(expert, other));
    }
    std::sort(best_.begin(), best_.end(), std::greater<>());
    for (std::size_t i = 1; i < best_.size(); ++i) best_[i] += best_[i - 1];
  }

  [[nodiscard]] double with(std::size_t replicas) const {
    const std::size_t partners = std::min(replicas * beside_, best_.size());
    if (tokens_ <= 0 || partners == 0) return 0;
    return tokens_ * saved_with(std::min(best_[partners - 1] / tokens_, most_partners_));
  }

 private:
  double tokens_;
  std::size_t beside_;  ///< other slots of its rank
  double most_partners_;
  std::vector<double> best_;  ///< sums of the best partners
};

}  // namespace

double copies_lower_bound(const LayerTogether& together, std::size_t top_k,
                          const CopiesShape& shape) {
  const std::size_t experts = together.pairs.experts();
  const auto& [parts, per_part, slots] = shape;
  MOESHIFT_CHECK(parts >= 1 && per_part >= 1 && slots >= experts && top_k >= 1);
  const double fewest = std::ceil(static_cast<double>(top_k) / static_cast<double>(per_part));
  if (together.tokens == 0) return fewest;
  std::vector<ExpertSavings> savings;
  std::priority_queue<std::pair<double, std::size_t>> next;
  double saved = 0;
  for (std::size_t e = 0; e < experts; ++e) {
    savings.emplace_back(together.pairs, e, per_part - 1, top_k);
    saved += savings[e].with(1);
    next.emplace(savings[e].with(2) - savings[e].with(1), e);
  }
  std::vector<std::size_t> replicas(experts, 1);
  for (std::size_t spare = slots - experts; spare > 0 && !next.empty(); --spare) {
    const auto [gain, e] = next.top();
    next.pop();
    if (gain <= 0) break;
    saved += gain;
    const std::size_t count = ++replicas[e];
    if (count < parts) next.emplace(savings[e].with(count + 1) - savings[e].with(count), e);
  }
  const double bound = static_cast<double>(top_k) - saved / static_cast<double>(together.tokens);
  return std::max({1.0, fewest, bound * (1 - 1e-12)});
}

}  // namespace moeshift
