// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/local_search.hpp"

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
  Replacement best;
  const std::size_t k = packing_.slots_per_rank();
  for (std::size_t slot = 0; slot < packing_.slots(); ++slot) {
    if (packing_.count(packing_.expert(slot)) < 2) continue;
    if (slot / k == busiest) {  // drop it here for a colder expert
      for (std::uint32_t e = 0; e < packing_.experts(); ++e) {
        if (packing_.load(e) / (packing_.count(e) + 1) >= packing_.share(packing_.expert(slot))) {
          continue;
        }
        try_replacement(slot, e, best);
      }
      continue;
    }
    for (std::size_t i = 0; i < k; ++i) {  // spare it for another replica of a hot neighbour
      try_replacement(slot, packing_.expert(busiest * k + i), best);
    }
  }
  return best;
}

void LocalSearch::try_replacement(std::size_t slot, std::uint32_t expert, Replacement& best) {
  if (packing_.holds(slot / packing_.slots_per_rank(), expert)) return;
  ++moves_tried_;
  const double gain = gain_of_replacement(slot, expert);
  if (gain > best.gain) best = {gain, slot, expert};
}

double LocalSearch::gain_of_replacement(std::size_t slot, std::uint32_t expert) {
  const std::size_t rank = slot / packing_.slots_per_rank();
  const std::uint32_t dropped = packing_.expert(slot);
  const double dropped_share = packing_.share(dropped);
  const double dropped_after = packing_.load(dropped) / (packing_.count(dropped) - 1);
  const double share = packing_.share(expert);
  const double share_after = packing_.load(expert) / (packing_.count(expert) + 1);
  double gain = 0;
  for (std::size_t g = 0; g < packing_.ranks(); ++g) {
    const double load = packing_.rank_load(g);
    double after = load;
    if (g == rank) {
      after += share_after - dropped_share;
    } else {
      if (packing_.holds(g, dropped)) after += dropped_after - dropped_share;
      if (packing_.holds(g, expert)) after += share_after - share;
    }
    gain += excess(load) - excess(after);
  }
  return gain;
}

void LocalSearch::kick(Rng& rng) {
  const auto slots = static_cast<std::uint32_t>(packing_.slots());
  const std::size_t k = packing_.slots_per_rank();
  const std::uint32_t swaps = 2 + rng.below(3);
  for (std::uint32_t done = 0, tries = 0; done < swaps && tries < 64; ++tries) {
    const std::size_t slot = done == 0
                                 ? packing_.busiest() * k + rng.below(static_cast<std::uint32_t>(k))
                                 : rng.below(slots);
    const std::size_t other = rng.below(slots);
    if (slot / k == other / k) continue;
    if (packing_.holds(other / k, packing_.expert(slot))) continue;
    if (packing_.holds(slot / k, packing_.expert(other))) continue;
    packing_.swap(slot, other);
    ++done;
  }
}

}  // namespace moeshift
