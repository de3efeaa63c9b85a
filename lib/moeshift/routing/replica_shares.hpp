// SPDX-License-Identifier: Apache-2.0
// Which replicas a (token, expert) pair may go to, and with what chance. Internal to routing/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

/// How a token that must reach an expert chooses among its replicas.
enum class ReplicaChoice : std::uint8_t {
  kEven,     ///< each with the same chance, on its own for every (token, expert)
  kNearest,  ///< the source's own, else evenly those of its node, else evenly all
  /// Ranks that the token goes to anyway. Experts are taken by ascending number of replicas, then
  /// by id; each goes to a holder that was visited, else to one in a visited node, else to any; of
  /// several the one that the hash of the token's number names (visited_choice).
  kVisitedFirst,
};

/// Which of `candidates` a token takes for an expert: the same draw for every engine and test.
[[nodiscard]] std::size_t visited_choice(std::uint64_t token, std::uint32_t expert,
                                         std::size_t candidates);

/// A share of an expert's tokens.
struct RankShare {
  std::uint32_t rank = 0;
  double share = 0;
};

/// One layer of a placement as lists of holders.
class Holders {
 public:
  Holders(const Placement& placement, LayerId layer, const Topology& topology);

  [[nodiscard]] std::size_t ranks() const { return node_of_.size(); }
  [[nodiscard]] std::size_t nodes() const { return nodes_; }
  [[nodiscard]] std::size_t experts() const { return first_.size() - 1; }
  [[nodiscard]] std::uint32_t node_of(std::size_t rank) const { return node_of_[rank]; }
  [[nodiscard]] LinkClass link(std::size_t from, std::size_t to) const {
    if (from == to) return LinkClass::kLocal;
    if (node_of_[from] == node_of_[to]) return LinkClass::kIntraNode;
    return rack_of_[from] == rack_of_[to] ? LinkClass::kInterNode : LinkClass::kInterRack;
  }
  /// The ranks of an expert's replicas, ascending; a rank that holds two is there twice.
  [[nodiscard]] std::span<const std::uint32_t> of(std::size_t expert) const {
    return std::span(ranks_).subspan(first_[expert], first_[expert + 1] - first_[expert]);
  }
  /// The shares of an expert's replicas for tokens that start on `source`. Not for kVisitedFirst.
  void shares(std::size_t expert, ReplicaChoice choice, std::size_t source,
              std::vector<RankShare>& out) const;
  /// The rank that each expert of a token goes to under kVisitedFirst, in the order of `row`.
  void visit(std::uint64_t token, std::span<const std::uint16_t> row,
             std::vector<std::uint32_t>& out) const;

 private:
  std::size_t nodes_ = 1;
  std::vector<std::uint32_t> node_of_;
  std::vector<std::uint32_t> rack_of_;  ///< [ranks]: a table of links would be ranks^2
  std::vector<std::size_t> first_;
  std::vector<std::uint32_t> ranks_;
};

}  // namespace moeshift
