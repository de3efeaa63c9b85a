// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/adapt.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kHole = std::numeric_limits<std::uint32_t>::max();

class Partial {
 public:
  Partial(const LayerProblem& problem, std::span<const double> load)
      : load_(load),
        k_(problem.slots_per_rank),
        ranks_(problem.ranks()),
        expert_(problem.slots(), kHole),
        count_(load.size(), 0) {
    for (std::size_t rank = 0; rank < problem.held.size(); ++rank) {
      std::size_t next = 0;
      for (const ExpertId held : problem.held[rank]) {
        if (next == k_) break;
        const std::size_t slot = rank * k_ + next++;
        if (held.is_none() || holds(rank, held.value())) continue;
        expert_[slot] = held.value();
        ++count_[held.index()];
      }
    }
  }

  /// Lost experts by load, heaviest first.
  [[nodiscard]] std::vector<std::uint32_t> lost() const {
    std::vector<std::uint32_t> lost;
    for (std::uint32_t e = 0; e < load_.size(); ++e) {
      if (count_[e] == 0) lost.push_back(e);
    }
    std::stable_sort(lost.begin(), lost.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return load_[a] > load_[b]; });
    return lost;
  }

  void bring_back(std::uint32_t expert) {
    std::size_t slot = lightest_hole();
    if (slot == expert_.size()) slot = least_loaded_spare();
    MOESHIFT_CHECK(slot < expert_.size());
    if (expert_[slot] != kHole) --count_[expert_[slot]];
    expert_[slot] = expert;
    ++count_[expert];
  }

  void fill_holes() {
    for (std::size_t slot = lightest_hole(); slot < expert_.size(); slot = lightest_hole()) {
      std::uint32_t best = kHole;
      for (std::uint32_t e = 0; e < load_.size(); ++e) {
        if (holds(slot / k_, e)) continue;
        if (best == kHole || load_[e] / count_[e] > load_[best] / count_[best]) best = e;
      }
      MOESHIFT_CHECK(best != kHole);
      expert_[slot] = best;
      ++count_[best];
    }
  }

  [[nodiscard]] std::vector<std::uint32_t> take() { return std::move(expert_); }

 private:
  [[nodiscard]] bool holds(std::size_t rank, std::uint32_t expert) const {
    const auto held = std::span(expert_).subspan(rank * k_, k_);
    return std::find(held.begin(), held.end(), expert) != held.end();
  }

  /// A hole of the rank with the least load; slots() when there is none.
  [[nodiscard]] std::size_t lightest_hole() const {
    std::size_t best = expert_.size();
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
      std::size_t hole = expert_.size();
      double load = 0;
      for (std::size_t slot = rank * k_; slot < (rank + 1) * k_; ++slot) {
        if (expert_[slot] == kHole) {
          hole = std::min(hole, slot);
        } else {
          load += load_[expert_[slot]] / count_[expert_[slot]];
        }
      }
      if (hole == expert_.size() || load >= least) continue;
      best = hole;
      least = load;
    }
    return best;
  }

  [[nodiscard]] std::size_t least_loaded_spare() const {
    std::size_t best = expert_.size();
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t slot = 0; slot < expert_.size(); ++slot) {
      const std::uint32_t e = expert_[slot];
      if (count_[e] < 2 || load_[e] / count_[e] >= least) continue;
      best = slot;
      least = load_[e] / count_[e];
    }
    return best;
  }

  std::span<const double> load_;
  std::size_t k_;
  std::size_t ranks_;
  std::vector<std::uint32_t> expert_;
  std::vector<std::uint32_t> count_;
};

}  // namespace

std::vector<std::uint32_t> adapt_old(const LayerProblem& problem, std::span<const double> load) {
  Partial partial(problem, load);
  for (const std::uint32_t expert : partial.lost()) partial.bring_back(expert);
  partial.fill_holes();
  return partial.take();
}

}  // namespace moeshift
