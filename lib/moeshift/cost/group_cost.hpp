// SPDX-License-Identifier: Apache-2.0
// Seconds for transfers that are issued together and waited for once.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// What one resource has to carry in one group.
struct Traffic {
  std::int64_t messages = 0;
  std::int64_t experts = 0;
  Bytes bytes;
};

/// Adds up the transfers of one group per resource, then prices the slowest.
///
/// Reused from group to group: a group costs O(its transfers), not O(ranks^2). Memory is O(ranks +
/// the pairs of a group), but for small worlds, where a table of all pairs is quicker.
class GroupPricer {
 public:
  /// @param share of every link's capacity that the rearrangement may use, in (0, 1].
  /// @param per_operation what the program of a rank spends on each message that it sends or
  ///        receives, before the group starts.
  GroupPricer(const TransferPlan& plan, const Topology& topology, const Cluster& cluster,
              double share, Seconds per_operation = {});

  /// @param layer index into the plan's layers.
  void add(std::size_t layer, std::span<const Transfer> transfers);
  /// The time of all that was added since the last call; nothing costs nothing.
  [[nodiscard]] Seconds finish();

 private:
  struct LinkTraffic {
    std::vector<Traffic> egress;        ///< [ranks]
    std::vector<Traffic> ingress;       ///< [ranks]
    std::vector<Traffic> node_egress;   ///< [nodes]
    std::vector<Traffic> node_ingress;  ///< [nodes]
    bool used = false;
  };

  /// What goes from one rank to another.
  Traffic& pair(RankId source, RankId destination);
  void add_message(LinkClass link, RankId source, RankId destination, Traffic traffic);
  /// Messages that carry so much from one rank to another.
  [[nodiscard]] std::int64_t messages_of(const Traffic& traffic) const;
  /// Experts travel one by one, not gathered.
  [[nodiscard]] bool singly() const {
    return cluster_.engine && sizes_.largest() >= cluster_.engine->pack_below;
  }
  [[nodiscard]] Seconds class_time(LinkClass link) const;
  [[nodiscard]] Seconds busiest(std::span<const Traffic> traffic, Seconds per_message,
                                BytesPerSecond capacity) const;

  const ExpertSizes& sizes_;
  std::uint32_t messages_per_expert_;  ///< 0: one packed message per pair, cut into chunks
  Bytes chunk_bytes_;                  ///< 0: not cut
  const Topology& topology_;
  const Cluster& cluster_;
  double share_;
  Seconds per_operation_;
  std::vector<std::int64_t> operations_;  ///< [ranks]
  std::vector<Traffic> pairs_;            ///< [ranks, ranks]; of large worlds empty
  std::unordered_map<std::uint64_t, Traffic> pairs_of_many_;  ///< of these: source, destination
  std::vector<std::pair<RankId, RankId>> touched_;            ///< pairs with traffic
  std::array<LinkTraffic, kLinkClasses> links_;               ///< none for kLocal
  std::array<Traffic, kLinkClasses> busiest_pair_{};
  std::vector<Traffic> fabric_;  ///< [nodes]
};

}  // namespace moeshift
