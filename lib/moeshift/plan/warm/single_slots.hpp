// SPDX-License-Identifier: Apache-2.0
// One slot per rank, re-planned from an old placement: only the replica counts matter.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace moeshift {

/// A rank's replica gives way to one of `expert`.
struct SingleStep {
  std::uint32_t rank = 0;
  std::uint32_t expert = 0;
};

/// A placement after another with lower peaks, each one transfer from the last.
///
/// With one slot per rank a rank is as busy as its replica, so that exchanges are idle and the peak
/// is the largest load per replica. Each step gives the hottest expert one more replica, in the
/// place of one of the expert that is coldest afterwards. For one load that is optimal: no
/// placement with as few transfers has a lower peak, since any that has one gives each expert above
/// it the replicas that it lacks, and takes them where that leaves no share above the peak.
/// @param load [experts] positive. @param old [ranks] every expert held.
/// @param price of an expert on a rank: which replica of the coldest gives way. Least first, the
///        lower rank on ties.
/// @return the steps, until none helps.
/// O(steps x (ranks + experts)).
[[nodiscard]] std::vector<SingleStep> rearrange_singles(
    std::span<const double> load, std::span<const std::uint32_t> old,
    const std::function<double(std::size_t rank, std::uint32_t expert)>& price);

}  // namespace moeshift
