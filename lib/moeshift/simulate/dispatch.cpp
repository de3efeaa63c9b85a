// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/dispatch.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

std::size_t index_of(LinkClass link) {
  return static_cast<std::size_t>(link);
}

/// The share of all ranks that lies at each distance from `rank`, itself included.
std::array<double, kLinkClasses> origins(RankId rank, const Topology& topology) {
  std::array<double, kLinkClasses> share{};
  const double each = 1.0 / static_cast<double>(topology.ranks());
  for (const RankId source : all_ids<RankId>(topology.ranks())) {
    share[index_of(topology.link(source, rank))] += each;
  }
  return share;
}

/// Shares under even dispatch, biased towards the first replica.
void share_evenly(const Placement& placement, const Topology& topology, double bias,
                  const std::vector<SlotId>& holders, LayerDispatch& shares) {
  const auto count = static_cast<double>(holders.size());
  const double first = 1 / count + bias * (1 - 1 / count);
  const double other = holders.size() > 1 ? (1 - first) / (count - 1) : 0;
  for (std::size_t i = 0; i < holders.size(); ++i) {
    const double share = i == 0 ? first : other;
    SlotShare& slot = shares[holders[i].index()];
    slot.by_link = origins(placement.rank_of(holders[i]), topology);
    for (double& part : slot.by_link) part *= share;
  }
}

/// Shares when every source takes its own replica, else one of its node, else any.
void share_nearest(const Placement& placement, const Topology& topology,
                   const std::vector<SlotId>& holders, LayerDispatch& shares) {
  const double each = 1.0 / static_cast<double>(topology.ranks());
  for (const RankId source : all_ids<RankId>(topology.ranks())) {
    LinkClass nearest = LinkClass::kInterRack;
    const auto distance = [&](SlotId slot) {
      // Beyond the node all holders are alike.
      return std::min(topology.link(source, placement.rank_of(slot)), LinkClass::kInterNode);
    };
    for (const SlotId slot : holders) nearest = std::min(nearest, distance(slot));
    const auto alike = std::count_if(holders.begin(), holders.end(),
                                     [&](SlotId slot) { return distance(slot) == nearest; });
    for (const SlotId slot : holders) {
      if (distance(slot) != nearest) continue;
      const LinkClass link = topology.link(source, placement.rank_of(slot));
      shares[slot.index()].by_link[index_of(link)] += each / static_cast<double>(alike);
    }
  }
}

}  // namespace

DispatchRule parse_dispatch_rule(std::string_view name) {
  if (name == "even" || name == "random") return DispatchRule::kEven;
  if (name == "nearest") return DispatchRule::kNearest;
  throw InputError("",
                   fmt::format("dispatch rule '{}': expected one of even, random, nearest", name));
}

LayerDispatch dispatch_shares(const Placement& placement, LayerId layer, const Topology& topology,
                              const DispatchOptions& options) {
  LayerDispatch shares(placement.slots());
  const std::vector<std::vector<SlotId>> slots_of = placement.logical_to_physical(layer);
  for (std::size_t expert = 0; expert < slots_of.size(); ++expert) {
    const std::vector<SlotId>& holders = slots_of[expert];
    if (holders.empty()) {
      throw InputError("", fmt::format("layer {}: no slot holds expert {}, so its tokens cannot be "
                                       "served",
                                       layer.value(), expert));
    }
    for (const SlotId slot : holders) {
      shares[slot.index()].expert = static_cast<std::uint32_t>(expert);
    }
    if (options.rule == DispatchRule::kNearest) {
      share_nearest(placement, topology, holders, shares);
    } else {
      share_evenly(placement, topology, options.replica_bias, holders, shares);
    }
  }
  return shares;
}

}  // namespace moeshift
