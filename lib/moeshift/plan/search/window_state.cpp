// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/search/window_state.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

std::size_t padded(std::size_t windows) {
  return windows == 1 ? 1 : (windows + 3) / 4 * 4;
}

}  // namespace

WindowState::WindowState(const WindowLoads& loads, std::size_t ranks,
                         std::vector<std::uint32_t> experts, std::span<const double> speed)
    : loads_(loads),
      windows_(loads.windows),
      lanes_(padded(loads.windows)),
      k_(experts.size() / ranks),
      expert_(std::move(experts)),
      rank_of_(expert_.size()),
      next_(expert_.size(), kNoSlot),
      first_(loads.experts, kNoSlot),
      count_(loads.experts, 0),
      holds_(ranks * loads.experts, 0),
      share_(loads.experts * lanes_, 0),
      slowness_(ranks, 1),
      rank_load_(ranks * lanes_, 0),
      gradient_(ranks * lanes_, 0),
      part_(ranks, 0),
      pull_(expert_.size(), 0),
      pull_of_all_(loads.experts, 0),
      relief_at_(expert_.size(), 0),
      relief_(loads.experts, 0),
      mean_share_(loads.experts, 0),
      mean_excess_(ranks, 0),
      tau_(lanes_, 1),
      weight_(lanes_, 0) {
  for (std::size_t rank = 0; rank < speed.size(); ++rank) {
    slowness_[rank] = static_cast<float>(1 / speed[rank]);
  }
  for (std::size_t slot = 0; slot < expert_.size(); ++slot) {
    rank_of_[slot] = static_cast<std::uint32_t>(slot / k_);
    MOESHIFT_CHECK(!holds(rank_of_[slot], expert_[slot]));
    ++count_[expert_[slot]];
    put(slot, expert_[slot]);
  }
  for (std::uint32_t e = 0; e < loads.experts; ++e) set_share(e);
  for (std::size_t rank = 0; rank < ranks; ++rank) sum_rank(rank);
}

void WindowState::aim(double cut, std::span<const double> weights) {
  std::vector<double> peak(windows_);
  peaks(peak);
  constexpr float kRounding = 0.9999F;
  float weight = 0;
  for (std::size_t t = 0; t < windows_; ++t) {
    tau_[t] = static_cast<float>(1 + cut * (peak[t] - 1));
    weight_[t] = static_cast<float>(weights[t]);
    weight += weight_[t];
  }
  part_per_square_ = kRounding / weight;
  for (std::size_t rank = 0; rank < ranks(); ++rank) score_rank(rank);
  for (std::uint32_t e = 0; e < experts(); ++e) {
    sum_pulls(e);
    average_share(e);
  }
}

void WindowState::sum_pulls(std::uint32_t expert) {
  float sum = 0;
  float relief = 0;
  for (std::uint32_t slot = first_[expert]; slot != kNoSlot; slot = next_[slot]) {
    sum += pull_[slot];
    relief += relief_at_[slot];
  }
  pull_of_all_[expert] = sum;
  relief_[expert] = relief;
}

float WindowState::relief_at(std::size_t rank, std::uint32_t expert) const {
  const float thinner = 1.0F / static_cast<float>(count_[expert] + 1);
  const float* in = share(expert);
  return part_[rank] - part_with(rank, [&](std::size_t t) { return -in[t] * thinner; });
}

void WindowState::sum_pulls_on(std::size_t rank) {
  for (std::size_t i = 0; i < k_; ++i) sum_pulls(expert_[rank * k_ + i]);
}

void WindowState::average_share(std::uint32_t expert) {
  const float* load = share(expert);
  mean_share_[expert] = sum_over_lanes(lanes_, [&](std::size_t t) { return weight_[t] * load[t]; });
}

void WindowState::peaks(std::span<double> peaks) const {
  std::fill(peaks.begin(), peaks.end(), 0.0);
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    const float* load = rank_load_.data() + rank * lanes_;
    for (std::size_t t = 0; t < windows_; ++t) {
      peaks[t] = std::max(peaks[t], static_cast<double>(load[t]));
    }
  }
}

void WindowState::set_share(std::uint32_t expert) {
  const float replicas = static_cast<float>(count_[expert]);
  const float* load = loads_.of(expert);
  for (std::size_t t = 0; t < windows_; ++t) share_[expert * lanes_ + t] = load[t] / replicas;
}

void WindowState::put(std::size_t slot, std::uint32_t expert) {
  expert_[slot] = expert;
  holds_[rank_of_[slot] * count_.size() + expert] = 1;
  next_[slot] = first_[expert];
  first_[expert] = static_cast<std::uint32_t>(slot);
}

void WindowState::remove(std::size_t slot) {
  const std::uint32_t expert = expert_[slot];
  holds_[rank_of_[slot] * count_.size() + expert] = 0;
  std::uint32_t* link = &first_[expert];
  while (*link != slot) link = &next_[*link];
  *link = next_[slot];
}

void WindowState::sum_rank(std::size_t rank) {
  float* load = rank_load_.data() + rank * lanes_;
  std::fill_n(load, lanes_, 0.0F);
  for (std::size_t i = 0; i < k_; ++i) {
    const float* one = share(expert_[rank * k_ + i]);
    for (std::size_t t = 0; t < lanes_; ++t) load[t] += one[t];
  }
  for (std::size_t t = 0; t < lanes_; ++t) load[t] *= slowness_[rank];
}

void WindowState::score_rank(std::size_t rank) {
  part_[rank] = part_with(rank, [](std::size_t) { return 0.0F; });
  const float* load = rank_load_.data() + rank * lanes_;
  mean_excess_[rank] =
      sum_over_lanes(lanes_, [&](std::size_t t) { return weight_[t] * (load[t] - tau_[t]); });
  float* pull = pull_.data() + rank * k_;
  float* relief = relief_at_.data() + rank * k_;
  if (part_[rank] <= 0) {
    std::fill_n(pull, k_, 0.0F);
    std::fill_n(relief, k_, 0.0F);
    return;
  }
  float* slope = gradient_.data() + rank * lanes_;
  for (std::size_t t = 0; t < lanes_; ++t) {
    slope[t] = 2 * weight_[t] * std::max(0.0F, load[t] - tau_[t]);
  }
  for (std::size_t i = 0; i < k_; ++i) {
    pull[i] = pull_at(rank, expert_[rank * k_ + i]);
    relief[i] = relief_at(rank, expert_[rank * k_ + i]);
  }
}

void WindowState::swap(std::size_t slot, std::size_t other) {
  const std::uint32_t leaving = expert_[slot];
  const std::uint32_t coming = expert_[other];
  remove(slot);
  remove(other);
  put(slot, coming);
  put(other, leaving);
  for (const std::size_t rank : {rank_of_[slot], rank_of_[other]}) {
    sum_rank(rank);
    score_rank(rank);
  }
  for (const std::size_t rank : {rank_of_[slot], rank_of_[other]}) sum_pulls_on(rank);
}

void WindowState::replace(std::size_t slot, std::uint32_t expert) {
  const std::uint32_t dropped = expert_[slot];
  remove(slot);
  put(slot, expert);
  --count_[dropped];
  ++count_[expert];
  for (const std::uint32_t e : {dropped, expert}) {
    set_share(e);
    average_share(e);
  }
  for (const std::uint32_t e : {dropped, expert}) {
    for (std::uint32_t held = first_[e]; held != kNoSlot; held = next_[held]) {
      sum_rank(rank_of_[held]);
      score_rank(rank_of_[held]);
    }
  }
  for (const std::uint32_t e : {dropped, expert}) {
    for (std::uint32_t held = first_[e]; held != kNoSlot; held = next_[held]) {
      sum_pulls_on(rank_of_[held]);
    }
  }
}

}  // namespace moeshift
