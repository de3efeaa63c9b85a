// SPDX-License-Identifier: Apache-2.0
// A world with the faults that --inject takes.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "moeshift/execute/drill/drilled_world.hpp"

namespace moeshift::test {

/// `world` as it is where `drills` is empty.
inline std::unique_ptr<World> drilled(std::unique_ptr<World> world, const std::string& drills) {
  if (drills.empty()) return world;
  return std::make_unique<DrilledWorld>(std::move(world), parse_fault_drills(drills));
}

}  // namespace moeshift::test
