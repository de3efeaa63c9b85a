// SPDX-License-Identifier: Apache-2.0
// The state that fresh planning searches over: one layer's replicas on ranks, loads kept current.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/core/ids.hpp"

namespace moeshift {

/// `ranks` x `slots_per_rank` slots, each holding a replica; no rank holds an expert twice.
///
/// Plain indices instead of ids: this is the inner loop. Slot s lives on rank s / slots_per_rank.
class RankPacking {
 public:
  /// @param load [experts], must outlive the packing.
  /// @param experts [ranks * slots_per_rank] the expert in every slot, distinct within a rank.
  RankPacking(std::span<const double> load, std::size_t ranks, std::vector<std::uint32_t> experts);

  [[nodiscard]] std::size_t experts() const { return load_.size(); }
  [[nodiscard]] std::size_t ranks() const { return rank_load_.size(); }
  [[nodiscard]] std::size_t slots_per_rank() const { return slots_per_rank_; }
  [[nodiscard]] std::size_t slots() const { return expert_.size(); }

  [[nodiscard]] std::uint32_t expert(std::size_t slot) const { return expert_[slot]; }
  [[nodiscard]] const std::vector<std::uint32_t>& slot_experts() const { return expert_; }
  [[nodiscard]] std::uint32_t count(std::uint32_t expert) const { return count_[expert]; }
  [[nodiscard]] double load(std::uint32_t expert) const { return load_[expert]; }
  /// Load of one replica of `expert`.
  [[nodiscard]] double share(std::uint32_t expert) const { return load_[expert] / count_[expert]; }
  [[nodiscard]] const double* slot_shares(std::size_t rank) const {
    return share_.data() + rank * slots_per_rank_;
  }
  [[nodiscard]] double rank_load(std::size_t rank) const { return rank_load_[rank]; }
  [[nodiscard]] std::span<const double> rank_loads() const { return rank_load_; }
  [[nodiscard]] bool holds(std::size_t rank, std::uint32_t expert) const {
    return holds_[rank * load_.size() + expert] != 0;
  }
  [[nodiscard]] std::size_t busiest() const;
  [[nodiscard]] double peak() const { return rank_load_[busiest()]; }

  /// Exchanges the replicas of two slots of different ranks. @pre both ranks stay distinct.
  void swap(std::size_t slot, std::size_t other);
  /// Drops a replica of the slot's expert and puts one of `expert` there; the loads of all other
  /// holders change. @pre the dropped expert has another replica, the rank does not hold `expert`.
  void replace(std::size_t slot, std::uint32_t expert);

  [[nodiscard]] std::vector<ExpertId> placed() const;

 private:
  void reshare(std::uint32_t expert);

  std::span<const double> load_;
  std::size_t slots_per_rank_;
  std::vector<std::uint32_t> expert_;  ///< [slots]
  std::vector<double> share_;          ///< [slots] load of the replica there
  std::vector<std::uint32_t> count_;   ///< [experts]
  std::vector<double> rank_load_;      ///< [ranks]
  std::vector<std::uint8_t> holds_;    ///< [ranks, experts]
};

/// True when no rank holds an expert twice.
[[nodiscard]] bool distinct(std::span<const std::uint32_t> experts, std::size_t slots_per_rank);

}  // namespace moeshift
