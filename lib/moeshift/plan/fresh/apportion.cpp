// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/apportion.hpp"

#include <functional>
#include <queue>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

struct Claim {
  double share;
  std::uint32_t expert;

  bool operator<(const Claim& other) const {
    return share != other.share ? share < other.share : expert > other.expert;
  }
};

}  // namespace

std::vector<std::uint32_t> adams_counts(std::span<const double> load, std::size_t slots,
                                        std::size_t cap) {
  MOESHIFT_CHECK(load.size() <= slots && slots <= load.size() * cap);
  std::vector<std::uint32_t> counts(load.size(), 1);
  std::vector<Claim> claims;
  for (std::uint32_t e = 0; e < load.size() && cap > 1; ++e) claims.push_back({load[e], e});
  std::priority_queue<Claim> hottest(std::less<Claim>{}, std::move(claims));
  for (std::size_t placed = load.size(); placed < slots; ++placed) {
    const std::uint32_t expert = hottest.top().expert;
    hottest.pop();
    ++counts[expert];
    if (counts[expert] < cap) hottest.push({load[expert] / counts[expert], expert});
  }
  return counts;
}

}  // namespace moeshift
