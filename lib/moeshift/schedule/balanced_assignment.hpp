// SPDX-License-Identifier: Apache-2.0
// Jobs to ports so that the busiest port has as little to do as possible: exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moeshift {

/// Jobs and the ports that may do them, job after job.
struct Candidates {
  std::vector<std::uint32_t> ports;
  std::vector<std::uint32_t> first = {0};  ///< job i may use ports[first[i] .. first[i + 1])

  void add_port(std::uint32_t port) { ports.push_back(port); }
  /// The ports added since the last job make one job.
  void end_job() { first.push_back(static_cast<std::uint32_t>(ports.size())); }
  [[nodiscard]] std::size_t jobs() const { return first.size() - 1; }
};

/// Gives each job one of its candidate ports.
///
/// @param candidates per job at least one port < loads.size(); earlier ones are preferred among
///        equals.
/// @param loads jobs each port has already; updated. Initial loads are taken as fixed.
/// @return per job an index into candidates.ports. The loads that result are lexicographically
///         smallest when sorted downwards: no other choice has a smaller maximum.
/// Greedy start, then cost-reducing paths from the busiest port until none is left. A search that
/// fails settles all it reached, so failures cost O(edges) together, each success O(edges).
/// Source: Harvey, Ladner, Lovasz, Tamir, "Semi-matchings for bipartite graphs and load balancing"
/// (2006), algorithm ASM2; ours starts from given loads.
[[nodiscard]] std::vector<std::uint32_t> assign_balanced(const Candidates& candidates,
                                                         std::vector<std::uint32_t>& loads);

/// The same for jobs of different sizes: size after size, the largest first, each balanced exactly
/// on top of what the larger ones put there (counted in its own size, rounded up). The problem is
/// NP-hard; with one size this is assign_balanced.
/// @param sizes of the jobs, > 0.
[[nodiscard]] std::vector<std::uint32_t> assign_balanced_by_size(
    const Candidates& candidates, const std::vector<std::int64_t>& sizes, std::size_t ports);

}  // namespace moeshift
