// SPDX-License-Identifier: Apache-2.0
// Adding up where the tokens of a layer go. Internal to routing/.
#pragma once

#include <array>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "moeshift/routing/copies.hpp"
#include "moeshift/routing/replica_shares.hpp"

namespace moeshift {

/// Ranks on which tokens start. @throws InputError when all are silent.
[[nodiscard]] std::vector<std::size_t> sources_of(std::size_t ranks,
                                                  std::span<const RankId> silent);

/// @throws InputError unless some slot holds the expert.
void check_holder(const Holders& holders, std::size_t expert, LayerId layer);

/// Adds up the tokens of a layer.
class Tally {
 public:
  Tally(const Holders& holders, std::vector<std::size_t> sources, CopiesFrom from)
      : holders_(holders),
        sources_(std::move(sources)),
        origin_(holders.ranks()),
        outside_(holders.nodes(), 0) {
    copies_.from = from;
    rank_from_all_.assign(holders.ranks(), 0);
    node_from_all_.assign(holders.nodes(), 0);
    copies_.at_rank.assign(holders.ranks(), 0);
    copies_.at_node.assign(holders.nodes(), 0);
    copies_.arriving.resize(holders.ranks());
    copies_.entering.assign(holders.nodes(), 0);
    const double each = 1 / static_cast<double>(sources_.size());
    for (const std::size_t source : sources_) {
      for (std::size_t rank = 0; rank < holders.ranks(); ++rank) {
        origin_[rank][static_cast<std::size_t>(holders.link(source, rank))] += each;
      }
      for (std::size_t node = 0; node < holders.nodes(); ++node) {
        if (node != holders.node_of(source)) outside_[node] += each;
      }
    }
  }

  [[nodiscard]] const std::vector<std::size_t>& sources() const { return sources_; }

  void rank_from_all(std::size_t rank, double chance) { rank_from_all_[rank] += chance; }
  void node_from_all(std::size_t node, double chance) { node_from_all_[node] += chance; }
  void rank_from(std::size_t source, std::size_t rank, double chance) {
    copies_.at_rank[rank] += chance;
    copies_.arriving[rank][static_cast<std::size_t>(holders_.link(source, rank))] += chance;
  }
  void node_from(std::size_t source, std::size_t node, double chance) {
    copies_.at_node[node] += chance;
    if (holders_.node_of(source) != node) copies_.entering[node] += chance;
  }

  /// Per token, after `tokens` of them.
  [[nodiscard]] LayerCopies take(double tokens) {
    for (std::size_t rank = 0; rank < rank_from_all_.size(); ++rank) {
      copies_.at_rank[rank] += rank_from_all_[rank];
      for (std::size_t link = 0; link < kLinkClasses; ++link) {
        copies_.arriving[rank][link] += rank_from_all_[rank] * origin_[rank][link];
      }
    }
    for (std::size_t node = 0; node < node_from_all_.size(); ++node) {
      copies_.at_node[node] += node_from_all_[node];
      copies_.entering[node] += node_from_all_[node] * outside_[node];
    }
    for (double& value : copies_.at_rank) value /= tokens;
    for (double& value : copies_.at_node) value /= tokens;
    for (double& value : copies_.entering) value /= tokens;
    for (auto& rank : copies_.arriving) {
      for (double& value : rank) value /= tokens;
    }
    copies_.by_rank = std::accumulate(copies_.at_rank.begin(), copies_.at_rank.end(), 0.0);
    copies_.by_node = std::accumulate(copies_.at_node.begin(), copies_.at_node.end(), 0.0);
    return std::move(copies_);
  }

 private:
  const Holders& holders_;
  std::vector<std::size_t> sources_;
  std::vector<std::array<double, kLinkClasses>> origin_;  ///< [ranks] of tokens from everywhere
  std::vector<double> outside_;                           ///< [nodes] share that starts elsewhere
  std::vector<double> rank_from_all_, node_from_all_;     ///< sums of tokens from everywhere
  LayerCopies copies_;
};

/// The shares of all experts for tokens of one source, as [experts] lists.
class ShareTable {
 public:
  ShareTable(const Holders& holders, ReplicaChoice choice, std::size_t source) {
    std::vector<RankShare> shares;
    first_.push_back(0);
    for (std::size_t e = 0; e < holders.experts(); ++e) {
      holders.shares(e, choice, source, shares);
      shares_.insert(shares_.end(), shares.begin(), shares.end());
      first_.push_back(shares_.size());
    }
  }
  [[nodiscard]] std::span<const RankShare> of(std::size_t expert) const {
    return std::span(shares_).subspan(first_[expert], first_[expert + 1] - first_[expert]);
  }

 private:
  std::vector<std::size_t> first_;
  std::vector<RankShare> shares_;
};

}  // namespace moeshift
