// SPDX-License-Identifier: Apache-2.0
// Jobs to ports so that the busiest port has as little to do as possible: exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moeshift {

/// Gives each job one of its candidate ports.
///
/// @param candidates per job, at least one port < loads.size() each; earlier ones are preferred
///        among equals.
/// @param loads jobs each port has already; updated. Initial loads are taken as fixed.
/// @return per job the index into its candidates. The loads that result are lexicographically
///         smallest when sorted downwards: no other choice has a smaller maximum.
/// Greedy start, then cost-reducing paths until none is left; O(jobs * edges) at worst.
/// Source: Harvey, Ladner, Lovasz, Tamir, "Semi-matchings for bipartite graphs and load balancing"
/// (2006), algorithm ASM2; ours starts from given loads.
[[nodiscard]] std::vector<std::size_t> assign_balanced(
    const std::vector<std::vector<std::uint32_t>>& candidates, std::vector<std::uint32_t>& loads);

}  // namespace moeshift
