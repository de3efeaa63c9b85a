// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/control_plane.hpp"

#include <fmt/format.h>

namespace moeshift {

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::kSetup:
      return "setup";
    case Phase::kPlanned:
      return "planned";
    case Phase::kStaging:
      return "staging";
    case Phase::kStaged:
      return "staged";
    case Phase::kVoted:
      return "voted";
    case Phase::kCommitted:
      return "committed";
    case Phase::kVerified:
      return "verified";
  }
  return "unknown";
}

std::string Failure::message() const {
  const std::string place = layer ? fmt::format(", layer {}", layer->value()) : std::string();
  return fmt::format("rank {}{}, {}: {}", rank.value(), place, name_of(phase), reason);
}

}  // namespace moeshift
