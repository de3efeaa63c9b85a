// SPDX-License-Identifier: Apache-2.0
// Follows the one run: clocks, contents, conflicts, votes, and communicators side by side.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "moeshift/schedule/proof/clocks.hpp"
#include "moeshift/schedule/proof/execution.hpp"
#include "moeshift/schedule/proof/memory_model.hpp"
#include "moeshift/schedule/proof/prove.hpp"

namespace moeshift {

class Prover final : public ExecutionObserver {
 public:
  /// Fills the memories with the old placement.
  Prover(const ProofTask& task, const CallGraph& graph, FindingLog& findings);

  void began(CallIndex call) override;
  void ended(CallIndex call) override;

  /// What every rank holds by now.
  [[nodiscard]] const IdVector<RankId, RankModel>& memories() const { return memories_; }

 private:
  using Unit = std::pair<LayerId, std::uint32_t>;  ///< a layer and a wave of it

  /// A call that writes staging buffers of a unit, the last of its lane.
  struct Staged {
    Moment end;
    CallIndex call = 0;
  };

  void collect_staged();
  void read_sources(CallIndex call, const Operation& operation);
  void deliver(CallIndex call, const Operation& operation);
  void report(CallIndex call, const Region& region, const std::vector<Conflict>& conflicts,
              std::size_t calls_before);
  /// @param passed(moment): whether it is certain to have passed when the write begins.
  template <class Passed>
  void hold_to_vote(CallIndex call, const Region& region, std::uint32_t wave, const Passed& passed);
  void hold_to_one_at_a_time(CallIndex call, const Operation& operation);
  [[nodiscard]] bool joined_elsewhere(std::uint32_t a, std::uint32_t b, RankId rank) const;

  const ProofTask& task_;
  const CallGraph& graph_;
  FindingLog& findings_;
  Clocks clocks_;
  IdVector<RankId, RankModel> memories_;
  std::unordered_map<std::uint32_t, std::vector<Piece>> in_flight_;  ///< by message
  std::map<Unit, std::vector<Staged>> staged_;
  /// [ranks][communicators] the latest call that takes the device.
  IdVector<RankId, std::vector<std::optional<CallIndex>>> latest_;
};

}  // namespace moeshift
