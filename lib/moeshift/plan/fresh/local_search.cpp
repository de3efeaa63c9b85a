// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/local_search.hpp"

namespace moeshift {

Refined LocalSearch::refine(std::size_t max_steps) {
  for (std::size_t step = 0; step < max_steps; ++step) {
    const std::size_t busiest = packing_.busiest();
    if (packing_.rank_load(busiest) <= target_) return Refined::kReached;
    const double least = 1e-12 * excess(packing_.rank_load(busiest));
    const Swap swap = best_swap(busiest);
    if (swap.gain > least) {
      packing_.swap(swap.slot, swap.other);
      continue;
    }
    const Replacement replacement = best_replacement(busiest);
    if (replacement.gain <= least) return Refined::kStuck;
    packing_.replace(replacement.slot, replacement.expert);
  }
  return packing_.peak() <= target_ ? Refined::kReached : Refined::kTired;
}

LocalSearch::Swap LocalSearch::best_swap(std::size_t busiest) {
  Swap best;
  const double load = packing_.rank_load(busiest);
  const double all = excess(load);
  const std::size_t ranks = packing_.ranks();
  // Partners in turn, so that the first one that settles the matter is not always the same.
  for (std::size_t i = 0; i < ranks; ++i) {
    const std::size_t other = (next_partner_ + i) % ranks;
    const double other_load = packing_.rank_load(other);
    if (other_load >= load) continue;
    // Phi is convex: no swap gains more than meeting in the middle.
    const double ceiling = all + excess(other_load) - 2 * excess((load + other_load) / 2);
    if (ceiling <= best.gain) continue;
    best_swap_with(busiest, other, best);
    if (best.gain >= all) {
      next_partner_ = other + 1;
      break;
    }
  }
  return best;
}

void LocalSearch::best_swap_with(std::size_t busiest, std::size_t other, Swap& best) {
  const std::size_t k = packing_.slots_per_rank();
  const double* shares = packing_.slot_shares(busiest);
  const double* other_shares = packing_.slot_shares(other);
  const double load = packing_.rank_load(busiest);
  const double other_load = packing_.rank_load(other);
  const double before = excess(load) + excess(other_load);
  const double difference = load - other_load;
  moves_tried_ += k * k;
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      const double moved = shares[i] - other_shares[j];
      if (moved <= 0 || moved >= difference) continue;
      const double gain = before - excess(load - moved) - excess(other_load + moved);
      if (gain <= best.gain) continue;
      if (packing_.holds(other, packing_.expert(busiest * k + i))) continue;
      if (packing_.holds(busiest, packing_.expert(other * k + j))) continue;
      best = {gain, busiest * k + i, other * k + j};
    }
  }
}

LocalSearch::Replacement LocalSearch::best_replacement(std::size_t busiest) {
  find_holders();
  Replacement best;
  const std::size_t k = packing_.slots_per_rank();
  std::vector<double> reliefs(k);
  for (std::size_t i = 0; i < k; ++i) reliefs[i] = relief(packing_.expert(busiest * k + i));
  for (std::size_t slot = 0; slot < packing_.slots(); ++slot) {
    if (packing_.count(packing_.expert(slot)) < 2) continue;
    if (slot / k == busiest) {  // drop it here for a colder expert
      for (std::uint32_t e = 0; e < packing_.experts(); ++e) {
        if (packing_.holds(busiest, e)) continue;
        try_replacement(slot, e, overloaded_.size() > 1 ? relief(e) : 0, best);
      }
      continue;
    }
    for (std::size_t i = 0; i < k; ++i) {  // spare it for another replica of a hot neighbour
      const std::uint32_t e = packing_.expert(busiest * k + i);
      if (packing_.holds(slot / k, e)) continue;
      try_replacement(slot, e, reliefs[i], best);
    }
  }
  return best;
}

void LocalSearch::find_holders() {
  overloaded_.clear();
  for (std::size_t rank = 0; rank < packing_.ranks(); ++rank) {
    if (packing_.rank_load(rank) > target_) overloaded_.push_back(rank);
  }
  first_holder_.assign(packing_.experts() + 1, 0);
  for (const std::uint32_t e : packing_.slot_experts()) ++first_holder_[e + 1];
  for (std::size_t e = 0; e < packing_.experts(); ++e) first_holder_[e + 1] += first_holder_[e];
  std::vector<std::size_t> next(first_holder_.begin(), first_holder_.end() - 1);
  holders_.resize(packing_.slots());
  for (std::size_t slot = 0; slot < packing_.slots(); ++slot) {
    holders_[next[packing_.expert(slot)]++] = slot / packing_.slots_per_rank();
  }
}

/// What Phi loses when every holder of `expert` is spared the part that one more replica takes.
double LocalSearch::relief(std::uint32_t expert) const {
  const double spared =
      packing_.share(expert) - packing_.load(expert) / (packing_.count(expert) + 1);
  double sum = 0;
  for (const std::size_t rank : overloaded_) {
    if (!packing_.holds(rank, expert)) continue;
    sum += excess(packing_.rank_load(rank)) - excess(packing_.rank_load(rank) - spared);
  }
  return sum;
}

/// Exact: relief of the holders of `expert`, change of the slot's own rank, burden of the other
/// holders of the dropped expert; ends as soon as it cannot beat the best any more.
void LocalSearch::try_replacement(std::size_t slot, std::uint32_t expert, double relief,
                                  Replacement& best) {
  ++moves_tried_;
  const std::size_t rank = slot / packing_.slots_per_rank();
  const std::uint32_t dropped = packing_.expert(slot);
  const double share_after = packing_.load(expert) / (packing_.count(expert) + 1);
  const double load = packing_.rank_load(rank);
  double gain = relief + excess(load) - excess(load - packing_.share(dropped) + share_after);
  if (gain <= best.gain) return;
  const double burden =
      packing_.load(dropped) / (packing_.count(dropped) - 1) - packing_.share(dropped);
  const double spared = packing_.share(expert) - share_after;
  for (std::size_t i = first_holder_[dropped]; i < first_holder_[dropped + 1]; ++i) {
    const std::size_t holder = holders_[i];
    if (holder == rank) continue;
    const double without =
        packing_.rank_load(holder) - (packing_.holds(holder, expert) ? spared : 0);
    gain -= excess(without + burden) - excess(without);
    if (gain <= best.gain) return;
  }
  best = {gain, slot, expert};
}

void LocalSearch::kick(Rng& rng, Kick size) {
  const auto slots = static_cast<std::uint32_t>(packing_.slots());
  const auto experts = static_cast<std::uint32_t>(packing_.experts());
  const std::size_t k = packing_.slots_per_rank();
  const bool large = size == Kick::kLarge;
  const std::uint32_t exchanges = large ? 4 + rng.below(4) : 2 + rng.below(3);
  for (std::uint32_t done = 0, tries = 0; done < exchanges && tries < 64; ++tries) {
    const std::size_t slot = done == 0
                                 ? packing_.busiest() * k + rng.below(static_cast<std::uint32_t>(k))
                                 : rng.below(slots);
    if (rng.below(large ? 2 : 4) == 0 && packing_.count(packing_.expert(slot)) > 1) {
      const std::uint32_t expert = rng.below(experts);
      if (packing_.holds(slot / k, expert)) continue;
      packing_.replace(slot, expert);
      ++done;
      continue;
    }
    const std::size_t other = rng.below(slots);
    if (slot / k == other / k) continue;
    if (packing_.holds(other / k, packing_.expert(slot))) continue;
    if (packing_.holds(slot / k, packing_.expert(other))) continue;
    packing_.swap(slot, other);
    ++done;
  }
}

}  // namespace moeshift
