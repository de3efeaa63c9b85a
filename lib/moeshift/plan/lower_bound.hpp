// SPDX-License-Identifier: Apache-2.0
// Certified lower bounds on the busiest rank: what no placement of a shape can beat.
#pragma once

#include <cstddef>
#include <span>

namespace moeshift {

/// The best of the quick bounds on max_g R under even dispatch, for any placement of `load` on
/// `ranks` x (slots / ranks) slots.
///
/// LB0: some rank carries at least the mean. Hottest: an expert has at most slots - experts + 1
/// replicas and no more than one per rank is of use, so its own share stays on some rank.
/// O(experts).
[[nodiscard]] double lower_bound(std::span<const double> load, std::size_t ranks,
                                 std::size_t slots);

}  // namespace moeshift
