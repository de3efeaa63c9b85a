// SPDX-License-Identifier: Apache-2.0
// A world in which things break on purpose: the three seams of every rank, wrapped.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/drill/fault_drill.hpp"

namespace moeshift {

/// Everything as in `world`, but for the faults: the engine knows nothing of them (the idea of
/// leveldb's EnvWrapper and FaultInjectionTestEnv). A fault happens once.
class DrilledWorld final : public World {
 public:
  DrilledWorld(std::unique_ptr<World> world, std::vector<FaultDrill> drills)
      : world_(std::move(world)), drills_(std::move(drills)) {}

  [[nodiscard]] std::size_t size() const override { return world_->size(); }
  [[nodiscard]] std::span<const RankId> local_ranks() const override {
    return world_->local_ranks();
  }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override;
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> facts() const override {
    return world_->facts();
  }

 private:
  std::unique_ptr<World> world_;
  std::vector<FaultDrill> drills_;
};

}  // namespace moeshift
