// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/single_slots.hpp"

#include <limits>

namespace moeshift {
namespace {

/// Experts by replicas, while they are given and taken.
class Counts {
 public:
  Counts(std::span<const double> load, std::span<const std::uint32_t> old)
      : load_(load), count_(load.size(), 0) {
    for (const std::uint32_t e : old) ++count_[e];
  }

  [[nodiscard]] double share(std::uint32_t e) const { return load_[e] / count_[e]; }

  [[nodiscard]] std::uint32_t hottest() const {
    std::uint32_t best = 0;
    for (std::uint32_t e = 1; e < count_.size(); ++e) {
      if (share(e) > share(best)) best = e;
    }
    return best;
  }

  /// Who is coldest with one replica less, below `most`; count_.size() when nobody is.
  [[nodiscard]] std::uint32_t donor(double most) const {
    auto best = static_cast<std::uint32_t>(count_.size());
    for (std::uint32_t e = 0; e < count_.size(); ++e) {
      if (count_[e] < 2 || load_[e] / (count_[e] - 1) >= most) continue;
      most = load_[e] / (count_[e] - 1);
      best = e;
    }
    return best;
  }

  void hand_over(std::uint32_t from, std::uint32_t to) {
    --count_[from];
    ++count_[to];
  }

 private:
  std::span<const double> load_;
  std::vector<std::uint32_t> count_;
};

}  // namespace

std::vector<SingleStep> rearrange_singles(
    std::span<const double> load, std::span<const std::uint32_t> old,
    const std::function<double(std::size_t rank, std::uint32_t expert)>& price) {
  Counts counts(load, old);
  std::vector<std::uint32_t> placed(old.begin(), old.end());
  std::vector<SingleStep> steps;
  for (;;) {
    const std::uint32_t hot = counts.hottest();
    const std::uint32_t cold = counts.donor(counts.share(hot));
    if (cold == load.size()) return steps;
    std::uint32_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::uint32_t rank = 0; rank < placed.size(); ++rank) {
      if (placed[rank] != cold || price(rank, hot) >= least) continue;
      least = price(rank, hot);
      best = rank;
    }
    counts.hand_over(cold, hot);
    placed[best] = hot;
    steps.push_back({best, hot});
  }
}

}  // namespace moeshift
