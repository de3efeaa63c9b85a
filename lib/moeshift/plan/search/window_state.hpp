// SPDX-License-Identifier: Apache-2.0
// The state that the search over windows works on: one layer's replicas, loads kept per window.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/search/window_loads.hpp"

namespace moeshift {

/// f(0) + ... + f(lanes - 1) in four partial sums: the same order, so the same bits, everywhere,
/// and a shape that compilers turn into vector instructions. `lanes` is 1 or a multiple of 4.
template <class F>
float sum_over_lanes(std::size_t lanes, F f) {
  if (lanes == 1) return f(std::size_t{0});
  std::array<float, 4> sums{};
  for (std::size_t t = 0; t < lanes; t += 4) {
    for (std::size_t i = 0; i < 4; ++i) sums[i] += f(t + i);
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// `ranks` x k slots, each holding a replica, no expert twice on a rank; how far every rank is over
/// the targets tau, in Phi = sum over windows of weight x sum over ranks of max(0, load - tau)^2,
/// and Phi's gradient.
///
/// Plain indices: this is the inner loop. Windows are padded to `lanes` with idle ones.
class WindowState {
 public:
  static constexpr std::uint32_t kNoSlot = UINT32_MAX;

  /// @param experts the expert in every slot, distinct within a rank; `loads` outlives the state.
  /// @param speed [ranks] in units of the mean, by which loads become times; empty = alike.
  WindowState(const WindowLoads& loads, std::size_t ranks, std::vector<std::uint32_t> experts,
              std::span<const double> speed = {});

  /// Sets tau = 1 + cut (peak - 1) and the windows' weights, and measures all ranks by them.
  void aim(double cut, std::span<const double> weights);

  [[nodiscard]] std::size_t windows() const { return windows_; }
  [[nodiscard]] std::size_t lanes() const { return lanes_; }
  [[nodiscard]] std::size_t ranks() const { return part_.size(); }
  [[nodiscard]] std::size_t slots() const { return expert_.size(); }
  [[nodiscard]] std::size_t slots_per_rank() const { return k_; }
  [[nodiscard]] std::size_t experts() const { return count_.size(); }

  [[nodiscard]] std::uint32_t expert(std::size_t slot) const { return expert_[slot]; }
  [[nodiscard]] std::uint32_t count(std::uint32_t expert) const { return count_[expert]; }
  [[nodiscard]] std::size_t rank_of(std::size_t slot) const { return rank_of_[slot]; }
  [[nodiscard]] bool holds(std::size_t rank, std::uint32_t expert) const {
    return holds_[rank * count_.size() + expert] != 0;
  }
  /// The slots that hold an expert, as a chain ended by kNoSlot.
  [[nodiscard]] std::uint32_t first_slot(std::uint32_t expert) const { return first_[expert]; }
  [[nodiscard]] std::uint32_t next_slot(std::uint32_t slot) const { return next_[slot]; }

  /// Load of one replica, [lanes].
  [[nodiscard]] const float* share(std::uint32_t expert) const {
    return share_.data() + expert * lanes_;
  }
  /// d Phi / d load of a rank, [lanes]. Not set where `part` is 0.
  [[nodiscard]] const float* gradient(std::size_t rank) const {
    return gradient_.data() + rank * lanes_;
  }
  /// A rank's part of Phi.
  [[nodiscard]] float part(std::size_t rank) const { return part_[rank]; }
  [[nodiscard]] std::span<const float> parts() const { return part_; }
  /// gradient(rank of slot) x share: what the slot's rank gains, to first order, without it.
  [[nodiscard]] float pull(std::size_t slot) const { return pull_[slot]; }
  /// Sum of the pulls of an expert's replicas.
  [[nodiscard]] float pull_of_all(std::uint32_t expert) const { return pull_of_all_[expert]; }
  [[nodiscard]] std::span<const float> pulls_of_all() const { return pull_of_all_; }
  /// What Phi loses on an expert's holders when there is one replica more of it: at most
  /// pull_of_all / (count + 1), its first order.
  [[nodiscard]] float relief(std::uint32_t expert) const { return relief_[expert]; }
  [[nodiscard]] std::span<const float> reliefs() const { return relief_; }
  /// gradient(rank) x the time that share(expert) takes there.
  [[nodiscard]] float pull_at(std::size_t rank, std::uint32_t expert) const {
    const float* slope = gradient(rank);
    const float* load = share(expert);
    return slowness_[rank] *
           sum_over_lanes(lanes_, [&](std::size_t t) { return slope[t] * load[t]; });
  }
  /// The part of a rank when its load changes by `change(lane)`.
  template <class F>
  [[nodiscard]] float part_with(std::size_t rank, F change) const {
    const float* load = rank_load_.data() + rank * lanes_;
    const float slowness = slowness_[rank];
    return sum_over_lanes(lanes_, [&](std::size_t t) {
      const float x = load[t] + slowness * change(t) - tau_[t];
      const float above = x > 0 ? x : 0.0F;
      return weight_[t] * above * above;
    });
  }

  /// A rank with one window only: the same in the same order of operations, for inner loops.
  struct SingleRank {
    float part;
    float load;
    float slowness;
    float tau;
    float weight;

    [[nodiscard]] float part_with(float change) const {
      const float x = load + slowness * change - tau;
      const float above = x > 0 ? x : 0.0F;
      return weight * above * above;
    }
  };
  [[nodiscard]] SingleRank single(std::size_t rank) const {
    return {part_[rank], rank_load_[rank], slowness_[rank], tau_[0], weight_[0]};
  }

  [[nodiscard]] float mean_load(std::size_t rank) const {
    const float* load = rank_load_.data() + rank * lanes_;
    return sum_over_lanes(lanes_, [&](std::size_t t) { return weight_[t] * load[t]; });
  }
  /// The busiest rank's load in every window, [windows].
  void peaks(std::span<double> peaks) const;

  /// Weighted means over windows of an expert's share and of how far a rank is above tau, below
  /// counting as negative.
  [[nodiscard]] float mean_share(std::uint32_t expert) const { return mean_share_[expert]; }
  [[nodiscard]] std::span<const float> mean_shares() const { return mean_share_; }
  [[nodiscard]] float mean_excess(std::size_t rank) const { return mean_excess_[rank]; }
  [[nodiscard]] std::span<const float> mean_excesses() const { return mean_excess_; }
  [[nodiscard]] std::span<const float> slownesses() const { return slowness_; }
  [[nodiscard]] float slowness(std::size_t rank) const { return slowness_[rank]; }
  /// A rank's part is at least this times the square of its mean excess, where that is positive
  /// (Jensen); with one window it is the part, but for a little that covers rounding.
  [[nodiscard]] float part_per_square() const { return part_per_square_; }
  /// Least that two ranks' parts add up to, however load is moved between them in every window.
  [[nodiscard]] float parts_evened_out(std::size_t rank, std::size_t other) const {
    const float* load = rank_load_.data() + rank * lanes_;
    const float* of_other = rank_load_.data() + other * lanes_;
    const float slow = slowness_[rank];
    const float slow_other = slowness_[other];
    const float squares = sum_over_lanes(lanes_, [&](std::size_t t) {
      const float x = slow_other * (load[t] - tau_[t]) + slow * (of_other[t] - tau_[t]);
      const float above = x > 0 ? x : 0.0F;
      return weight_[t] * above * above;
    });
    return squares / (slow * slow + slow_other * slow_other);
  }

  /// Exchanges the replicas of two slots of different ranks. @pre both stay distinct.
  void swap(std::size_t slot, std::size_t other);
  /// A replica of `expert` takes the slot. @pre the one there has others; the rank stays distinct.
  void replace(std::size_t slot, std::uint32_t expert);

 private:
  void set_share(std::uint32_t expert);
  void put(std::size_t slot, std::uint32_t expert);
  void remove(std::size_t slot);
  void sum_rank(std::size_t rank);
  void score_rank(std::size_t rank);
  void sum_pulls(std::uint32_t expert);
  [[nodiscard]] float relief_at(std::size_t rank, std::uint32_t expert) const;
  void sum_pulls_on(std::size_t rank);
  void average_share(std::uint32_t expert);

  const WindowLoads& loads_;
  std::size_t windows_;
  std::size_t lanes_;
  std::size_t k_;
  std::vector<std::uint32_t> expert_;   ///< [slots]
  std::vector<std::uint32_t> rank_of_;  ///< [slots]
  std::vector<std::uint32_t> next_;     ///< [slots] chain of an expert's slots
  std::vector<std::uint32_t> first_;    ///< [experts] its head
  std::vector<std::uint32_t> count_;    ///< [experts]
  std::vector<std::uint8_t> holds_;     ///< [ranks, experts]
  std::vector<float> share_;            ///< [experts, lanes]
  std::vector<float> slowness_;         ///< [ranks] 1 / speed
  std::vector<float> rank_load_;        ///< [ranks, lanes]
  std::vector<float> gradient_;         ///< [ranks, lanes]
  std::vector<float> part_;             ///< [ranks]
  std::vector<float> pull_;             ///< [slots]
  std::vector<float> pull_of_all_;      ///< [experts]
  std::vector<float> relief_at_;        ///< [slots] a rank's part of its expert's relief
  std::vector<float> relief_;           ///< [experts]
  std::vector<float> mean_share_;       ///< [experts]
  std::vector<float> mean_excess_;      ///< [ranks]
  float part_per_square_ = 0;
  std::vector<float> tau_;     ///< [lanes]
  std::vector<float> weight_;  ///< [lanes]
};

}  // namespace moeshift
