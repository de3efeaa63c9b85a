// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/search/coverage.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <queue>
#include <utility>

#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/search/window_loads.hpp"
#include "moeshift/plan/survive.hpp"

namespace moeshift {
namespace {

/// A placement with its holders counted, while it is changed.
class Holders {
 public:
  Holders(const LayerProblem& problem, std::span<const double> load,
          std::vector<std::uint32_t>& slots)
      : problem_(problem),
        load_(load),
        domains_(failure_domains(problem.exposure())),
        domain_of_(problem.ranks()),
        least_(problem.survive.losses + 1),
        slots_(slots) {
    for (std::size_t d = 0; d < domains_.size(); ++d) {
      for (std::size_t i = 0; i < domains_[d].ranks; ++i)
        domain_of_[domains_[d].first_rank + i] = d;
    }
    count();
  }

  /// Gives every expert its holders by single changes. @return false when stuck.
  bool repair() {
    for (const std::uint32_t e : heaviest_first()) {
      while (spread_[e] < least_) {
        if (!replace_spare(e) && !replace_by_exchange(e)) return false;
      }
    }
    return true;
  }

  /// Deals everything out anew: first every expert to `least` domains, those with most room first,
  /// which succeeds whenever it can be done; then the rest to the hottest; then within domains.
  void deal() {
    const std::size_t k = problem_.slots_per_rank;
    std::vector<std::size_t> room;
    for (const FailureDomain& domain : domains_) room.push_back(domain.ranks * k);
    std::vector<std::vector<std::uint32_t>> copies(domains_.size(),
                                                   std::vector<std::uint32_t>(load_.size(), 0));
    const auto put = [&](std::size_t domain, std::uint32_t e) {
      ++copies[domain][e];
      --room[domain];
    };
    std::vector<std::size_t> order(domains_.size());
    for (const std::uint32_t e : heaviest_first()) {
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return room[a] > room[b]; });
      for (std::size_t i = 0; i < least_; ++i) put(order[i], e);
    }
    std::priority_queue<std::pair<double, std::uint32_t>> hottest;
    const auto replicas = static_cast<double>(least_);
    for (std::uint32_t e = 0; e < load_.size(); ++e) hottest.emplace(load_[e] / replicas, e);
    std::vector<std::uint32_t> total(load_.size(), static_cast<std::uint32_t>(least_));
    while (!hottest.empty()) {
      const std::uint32_t e = hottest.top().second;
      hottest.pop();
      std::size_t best = domains_.size();
      for (std::size_t d = 0; d < domains_.size(); ++d) {
        if (room[d] == 0 || copies[d][e] == domains_[d].ranks) continue;
        if (best == domains_.size() || room[d] > room[best]) best = d;
      }
      if (best == domains_.size()) continue;
      put(best, e);
      hottest.emplace(load_[e] / ++total[e], e);
    }
    for (std::size_t d = 0; d < domains_.size(); ++d) {
      std::vector<std::size_t> filled(domains_[d].ranks, 0);
      std::size_t next = 0;
      for (std::uint32_t e = 0; e < load_.size(); ++e) {
        for (std::uint32_t copy = 0; copy < copies[d][e]; ++copy, ++next) {
          const std::size_t rank = next % domains_[d].ranks;
          slots_[(domains_[d].first_rank + rank) * k + filled[rank]++] = e;
        }
      }
    }
    count();
  }

 private:
  void count() {
    in_domain_.assign(domains_.size() * load_.size(), 0);
    replicas_.assign(load_.size(), 0);
    spread_.assign(load_.size(), 0);
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) add(slot);
  }

  std::uint32_t& copies(std::size_t slot, std::uint32_t e) {
    return in_domain_[domain_of_[slot / problem_.slots_per_rank] * load_.size() + e];
  }

  void add(std::size_t slot) {
    const std::uint32_t e = slots_[slot];
    ++replicas_[e];
    if (copies(slot, e)++ == 0) ++spread_[e];
  }

  void remove(std::size_t slot) {
    const std::uint32_t e = slots_[slot];
    --replicas_[e];
    if (--copies(slot, e) == 0) --spread_[e];
  }

  void put(std::size_t slot, std::uint32_t e) {
    remove(slot);
    slots_[slot] = e;
    add(slot);
  }

  [[nodiscard]] bool spare(std::size_t slot) {
    const std::uint32_t e = slots_[slot];
    return spread_[e] - (copies(slot, e) == 1 ? 1 : 0) >= least_;
  }

  [[nodiscard]] bool on_rank(std::size_t slot, std::uint32_t e) const {
    const std::size_t k = problem_.slots_per_rank;
    const auto rank = std::span(slots_).subspan(slot / k * k, k);
    return std::find(rank.begin(), rank.end(), e) != rank.end();
  }

  [[nodiscard]] double share(std::uint32_t e) const { return load_[e] / replicas_[e]; }

  [[nodiscard]] double load_without(std::size_t slot) const {
    const std::size_t k = problem_.slots_per_rank;
    double load = -share(slots_[slot]);
    for (std::size_t i = slot / k * k; i < slot / k * k + k; ++i) load += share(slots_[i]);
    return load;
  }

  /// Takes the place of a spare replica, in a domain that lacks `e`, where that weighs least.
  bool replace_spare(std::uint32_t e) {
    std::size_t best = slots_.size();
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      if (copies(slot, e) > 0 || !spare(slot)) continue;
      const double weight =
          load_without(slot) + share(slots_[slot]) / (replicas_[slots_[slot]] - 1);
      if (weight >= least) continue;
      least = weight;
      best = slot;
    }
    if (best == slots_.size()) return false;
    put(best, e);
    return true;
  }

  /// All spare replicas are where `e` is: another expert goes there and leaves its place to `e`.
  bool replace_by_exchange(std::uint32_t e) {
    for (std::size_t spared = 0; spared < slots_.size(); ++spared) {
      if (!spare(spared)) continue;
      for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
        const std::uint32_t moved = slots_[slot];
        if (copies(slot, e) > 0 || on_rank(spared, moved)) continue;
        const std::size_t before = std::min<std::size_t>(spread_[moved], least_);
        const std::uint32_t dropped = slots_[spared];
        put(spared, moved);
        put(slot, e);
        if (spread_[moved] >= before) return true;
        put(slot, moved);
        put(spared, dropped);
      }
    }
    return false;
  }

  [[nodiscard]] std::vector<std::uint32_t> heaviest_first() const {
    std::vector<std::uint32_t> order(load_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return load_[a] > load_[b]; });
    return order;
  }

  const LayerProblem& problem_;
  std::span<const double> load_;
  std::vector<FailureDomain> domains_;
  std::vector<std::size_t> domain_of_;  ///< [ranks]
  std::size_t least_;
  std::vector<std::uint32_t>& slots_;
  std::vector<std::uint32_t> in_domain_;  ///< [domains, experts] replicas
  std::vector<std::uint32_t> replicas_;   ///< [experts]
  std::vector<std::size_t> spread_;       ///< [experts] domains that hold it
};

}  // namespace

HolderRule holder_rule(const LayerProblem& problem) {
  if (problem.survive.losses == 0) return {};
  HolderRule rule{.least = problem.survive.losses + 1, .node_of = {}};
  if (problem.survive.by_node) rule.node_of = problem.node_of;
  return rule;
}

void cover(const LayerProblem& problem, std::span<const double> load,
           std::vector<std::uint32_t>& experts) {
  if (problem.survive.losses == 0) return;
  Holders holders(problem, load, experts);
  if (!holders.repair()) holders.deal();
}

std::uint64_t cover_and_balance(const LayerProblem& problem, std::span<const double> load,
                                std::vector<std::uint32_t>& experts) {
  if (problem.survive.losses == 0) return 0;
  cover(problem, load, experts);
  LayerProblem scaled = problem;
  scaled.load = load;
  const WindowLoads loads = windows_of(scaled, false);
  const double mean =
      std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(problem.ranks());
  WindowSearchOptions options;
  options.holders = holder_rule(problem);
  options.speed = problem.speed;
  options.target = lower_bound(load, problem.ranks(), problem.slots()) / mean * 1.001;
  options.max_steps = 1000;
  options.cuts = {0.6, 0.3, 0.9};
  options.patience = 25;
  WindowSearch search(loads, problem.ranks(), std::move(experts), {}, options);
  search.run();
  experts = search.placement_after(search.best_prefix());
  return search.moves_tried();
}

}  // namespace moeshift
