// SPDX-License-Identifier: Apache-2.0
// Kinds of traffic that policies which look ahead are tried on.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "moeshift/model/load.hpp"

namespace moeshift::quality {

struct TrafficKind {
  std::string_view name;
  std::string_view summary;
  std::vector<LoadMatrix> (*windows)(std::size_t layers, std::size_t experts, std::size_t count,
                                     std::uint64_t seed);
};

/// Noise only, drift, changes, cycles, bursts: every kind that was thought of.
const std::vector<TrafficKind>& traffic_kinds();

}  // namespace moeshift::quality
