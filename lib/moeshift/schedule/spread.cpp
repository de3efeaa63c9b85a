// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/spread.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// A rank that can send an expert.
struct Copy {
  RankId rank;
  std::uint32_t slot = 0;
  std::uint32_t after = CrossingStep::kLive;
};

/// What is left to do for one expert.
struct Item {
  std::vector<Copy> copies;
  std::vector<std::uint32_t> pending;  ///< crossings, ascending
};

class Spreader {
 public:
  Spreader(const std::vector<Crossing>& crossings, const LayerNeeds& needs,
           const Topology& topology)
      : crossings_(crossings), topology_(topology), sends_(topology.ranks(), 0) {
    std::map<ExpertId, Item> items;
    for (std::uint32_t i = 0; i < crossings.size(); ++i) {
      items[crossings[i].expert].pending.push_back(i);
    }
    for (auto& [expert, item] : items) {
      for (const Holder& holder : needs.holders_of(expert)) {
        item.copies.push_back({holder.rank, holder.slot, CrossingStep::kLive});
      }
      items_.push_back(std::move(item));
    }
    tree_.steps.resize(crossings.size());
  }

  CrossingTree run() {
    std::size_t left = crossings_.size();
    while (left > 0) {
      const std::size_t done = play_round();
      MOESHIFT_CHECK(done > 0);
      left -= done;
    }
    count_groups();
    return std::move(tree_);
  }

 private:
  std::size_t play_round() {
    sending_.assign(topology_.ranks(), false);
    receiving_.assign(topology_.ranks(), false);
    std::stable_sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
      return a.pending.size() > b.pending.size();
    });
    std::size_t done = 0;
    for (Item& item : items_) done += serve(item);
    ++tree_.rounds;
    return done;
  }

  /// Sends what can be sent of one expert in this round; what arrives may be sent on in the next.
  std::size_t serve(Item& item) {
    std::vector<Copy> arrived;
    std::erase_if(item.pending, [&](std::uint32_t i) {
      const RankId root = crossings_[i].root;
      if (receiving_[root]) return false;
      const Copy* from = sender(item, arrived, root);
      if (from == nullptr) return false;
      tree_.steps[i] = {
          {from->rank, from->slot}, from->after, static_cast<std::uint32_t>(tree_.rounds)};
      if (topology_.rack_of(from->rank) != topology_.rack_of(root)) ++tree_.rack_crossings;
      sending_[from->rank] = receiving_[root] = true;
      ++sends_[from->rank];
      arrived.push_back({root, 0, i});
      return true;
    });
    item.copies.insert(item.copies.end(), arrived.begin(), arrived.end());
    return arrived.size();
  }

  /// The copy that sends to `root`; null if that has to wait. A rack that has a copy, or receives
  /// one in this round, feeds itself.
  const Copy* sender(const Item& item, const std::vector<Copy>& arrived, RankId root) const {
    const RackId rack = topology_.rack_of(root);
    const auto here = [&](const Copy& copy) { return topology_.rack_of(copy.rank) == rack; };
    const bool rack_has = std::any_of(item.copies.begin(), item.copies.end(), here);
    if (!rack_has && std::any_of(arrived.begin(), arrived.end(), here)) return nullptr;
    const Copy* best = nullptr;
    for (const Copy& copy : item.copies) {
      if (sending_[copy.rank] || (rack_has && !here(copy))) continue;
      if (best == nullptr || sends_[copy.rank] < sends_[best->rank]) best = &copy;
    }
    return best;
  }

  void count_groups() {
    std::vector<std::uint32_t> order(tree_.steps.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return tree_.steps[a].round < tree_.steps[b].round;
    });
    std::uint32_t first_round = 0;  // of the current group
    tree_.groups = order.empty() ? 0 : 1;
    for (const std::uint32_t i : order) {
      const CrossingStep& step = tree_.steps[i];
      if (step.after == CrossingStep::kLive || tree_.steps[step.after].round < first_round)
        continue;
      first_round = step.round;
      ++tree_.groups;
    }
  }

  const std::vector<Crossing>& crossings_;
  const Topology& topology_;
  std::vector<Item> items_;
  IdVector<RankId, std::uint32_t> sends_;
  IdVector<RankId, bool> sending_;    ///< in this round
  IdVector<RankId, bool> receiving_;  ///< in this round
  CrossingTree tree_;
};

}  // namespace

CrossingTree spread(const std::vector<Crossing>& crossings, const LayerNeeds& needs,
                    const Topology& topology) {
  return Spreader(crossings, needs, topology).run();
}

}  // namespace moeshift
