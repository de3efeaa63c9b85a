// SPDX-License-Identifier: Apache-2.0
// Our device transports on the rule-enforcing library.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute_cuda/hccl/hccl_world.hpp"
#include "moeshift/execute_cuda/kernels/staged_kernels.hpp"
#include "moeshift/execute_cuda/nccl/collective_world.hpp"
#include "moeshift/execute_cuda/peer/peer_world.hpp"
#include "moeshift/execute_cuda/runtime/acl_runtime.hpp"
#include "moeshift/execute_cuda/runtime/cuda_shape.hpp"

#include "rulebook.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/drilled.hpp"

namespace moeshift::test {

inline const std::array<std::string, 1> kRulebook = {"librulebook.so"};

/// The CUDA run time and NCCL, as the rulebook has them.
inline const Platform& ruled_cuda() {
  static const std::unique_ptr<DeviceRuntime> runtime = load_cuda_shape("CUDA", "cuda", kRulebook);
  static const StagedKernels kernels(*runtime);
  static const CollectiveLibrary nccl("NCCL", {kRulebook.front()});
  static const Platform platform{
      .runtime = runtime.get(), .kernels = &kernels, .collectives = &nccl};
  return platform;
}

/// Findings of the rulebook name what the rank's thread was about.
class RuledWorld final : public World {
 public:
  explicit RuledWorld(std::unique_ptr<World> world) : world_(std::move(world)) {}
  [[nodiscard]] std::size_t size() const override { return world_->size(); }
  [[nodiscard]] std::span<const RankId> local_ranks() const override {
    return world_->local_ranks();
  }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override {
    Member member = world_->join(rank, deadline);
    member.range_begin = [](const std::string& name) { return rulebook::range_begin(name); };
    member.range_end = [](std::uint64_t range) { rulebook::range_end(range); };
    return member;
  }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> facts() const override {
    return world_->facts();
  }

 private:
  std::unique_ptr<World> world_;
};

/// HIP and RCCL, likewise.
inline const Platform& ruled_hip() {
  static const std::unique_ptr<DeviceRuntime> runtime = load_cuda_shape("HIP", "hip", kRulebook);
  static const StagedKernels kernels(*runtime);
  static const CollectiveLibrary rccl("RCCL", {kRulebook.front()});
  static const Platform platform{
      .runtime = runtime.get(), .kernels = &kernels, .collectives = &rccl};
  return platform;
}

/// ACL and HCCL, likewise. A rank that is stuck would end its process, and all ranks live in this
/// one: its device forgets what it does instead.
inline const HcclPlatform& ruled_npu() {
  static const std::unique_ptr<DeviceRuntime> runtime = load_acl(kRulebook);
  static const StagedKernels kernels(*runtime);
  static const HcclLibrary hccl({kRulebook.front()});
  static const HcclPlatform platform{.device = {.runtime = runtime.get(), .kernels = &kernels},
                                     .library = &hccl,
                                     .stuck = [](const std::string&) { rulebook::end_rank(); }};
  return platform;
}

inline Backend ruled_row(const std::string& name) {
  if (name == "nccl") return collective_row<&ruled_cuda>("nccl", "");
  if (name == "ce") return peer_row<&ruled_cuda, PeerCopy::kCopyEngines>("ce", "");
  if (name == "peer") return peer_row<&ruled_cuda, PeerCopy::kStores>("peer", "");
  if (name == "auto") return auto_row<&ruled_cuda>("auto", "");
  if (name == "rccl") return collective_row<&ruled_hip>("rccl", "");
  if (name == "hccl") return hccl_row<&ruled_npu>();
  return find_backend(name);
}

/// Ranks that are threads, on a rulebook that starts over.
inline std::unique_ptr<World> ruled_world(const std::string& name, std::size_t ranks,
                                          const rulebook::Options& rules = {},
                                          const std::string& drills = "",
                                          std::map<std::string, std::string> settings = {}) {
  rulebook::configure(rules);
  settings["threads"] = "";
  WorldRequest request;
  request.ranks = ranks;
  request.settings = std::move(settings);
  return drilled(std::make_unique<RuledWorld>(ruled_row(name).open(request)), drills);
}

/// What was found, a line each; leaks of a world that has gone included.
inline std::string text_of_findings(bool with_leaks = true) {
  std::string text;
  for (const rulebook::Finding& finding : rulebook::findings()) text += finding.line() + "\n";
  if (!with_leaks) return text;
  for (const rulebook::Finding& finding : rulebook::leaks()) text += finding.line() + "\n";
  return text;
}

}  // namespace moeshift::test
