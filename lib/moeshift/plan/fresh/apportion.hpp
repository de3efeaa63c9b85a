// SPDX-License-Identifier: Apache-2.0
// How many replicas every expert gets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moeshift {

/// Replica counts that minimise the largest load per replica: each further replica goes to the
/// expert with the most load per replica (Adams' divisor method, which is optimal for this), the
/// lower expert on ties, and never past `cap`.
///
/// @return counts >= 1 that sum to `slots`.
/// @pre experts <= slots <= experts * cap. O(slots log experts).
[[nodiscard]] std::vector<std::uint32_t> adams_counts(std::span<const double> load,
                                                      std::size_t slots, std::size_t cap);

}  // namespace moeshift
