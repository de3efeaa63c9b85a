// SPDX-License-Identifier: Apache-2.0
// One rank's way through a rearrangement: the phases, in the order in which they happen.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/execute/engine/pipeline.hpp"
#include "moeshift/execute/engine/rank_memory.hpp"
#include "moeshift/execute/engine/rank_program.hpp"
#include "moeshift/execute/engine/waiter.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/model/rearrangement.hpp"

namespace moeshift {

class RankShuffle {
 public:
  RankShuffle(Member& member, const ShuffleJob& job, const ShuffleOptions& options);

  [[nodiscard]] RankOutcome run();

 private:
  // Setup: nothing is live yet.
  void prepare();
  void allocate();
  void agree_on_plan();
  void agree_on_memory();
  void fill();
  void connect();
  void warm_up_foreground();

  // The rearrangement.
  void begin_again();
  void perform();
  [[nodiscard]] const StagingUnit& front() const {
    return program().units[machine_.layers_committed()];
  }
  void stage_front();
  struct Ballot {
    std::unique_ptr<Gathering> said;
    SteadyClock::time_point cast;
  };
  [[nodiscard]] Ballot cast_vote();
  [[nodiscard]] std::size_t count_votes(const Ballot& ballot);
  void commit_until(std::size_t units);
  void commit(const Flight& flight);
  void commit_layer(const LayerCommit& commit, std::size_t set);
  void finish_commit(Pending& work);
  void keep_unchanged_layers();
  [[nodiscard]] Ballot voting_step(Seconds stalled);
  void foreground_step(Seconds stalled, const std::function<void()>& beside = {});
  [[nodiscard]] std::size_t share_end(std::size_t unit) const;

  // After it.
  void verify();
  void compare_with_baseline();
  [[nodiscard]] Failure root_cause(Failure mine) const;
  void fail(Failure failure);
  void survey_after_failure();

  // Small services.
  [[nodiscard]] std::vector<std::string> gather(const std::string& mine, const WaitTopic& topic,
                                                Seconds allowance);
  void finish_gathering(Gathering& gathering, const WaitTopic& topic, Seconds allowance);
  /// A gather whose values say nothing: all ranks are here.
  void meet(const WaitTopic& topic, Seconds allowance);
  void reach(std::size_t layer, std::size_t wave, Phase phase);
  /// Rank 0 speaks for all.
  void tell(std::string_view what, std::size_t done, std::size_t total) const;
  void drill(const StagingUnit& unit, Phase phase);
  [[nodiscard]] bool is_drilled(const StagingUnit& unit, Phase phase) const;
  [[nodiscard]] std::size_t announce();
  [[nodiscard]] const FaultDrill* drill_of(FaultDrill::Kind kind, const StagingUnit& unit) const;
  void span(const char* track, const std::string& name, SteadyClock::time_point start,
            SteadyClock::time_point end);
  [[nodiscard]] WaitTopic topic(const StagingUnit& unit, Phase phase, const char* wanted) const;
  [[nodiscard]] std::string name_of_unit(const StagingUnit& unit) const;
  [[nodiscard]] PipelineEvents events();
  [[nodiscard]] std::uint64_t range_begin(const std::string& name) const;
  void range_end(std::uint64_t range) const;
  [[nodiscard]] LayerId label(std::size_t layer) const { return job().plan->layers[layer].layer; }
  [[nodiscard]] const ShuffleJob& job() const { return *jobs_[turn_]; }
  [[nodiscard]] const RankProgram& program() const { return programs_[turn_]; }
  [[nodiscard]] const RankMemory& memory() const { return memories_[turn_]; }
  [[nodiscard]] RankId self() const { return member_.control->self(); }

  Member& member_;
  std::vector<const ShuffleJob*> jobs_;  ///< there, and perhaps back
  const ShuffleOptions& options_;
  Waiter waiter_;
  MessageRules rules_;
  std::vector<RankProgram> programs_;  ///< by job, all with room for the largest
  std::vector<RankMemory> memories_;   ///< by job, the same blocks; empty until they are taken
  std::size_t turn_ = 0;               ///< the job that is being done
  std::optional<Pipeline> pipeline_;
  std::unique_ptr<Foreground> foreground_;
  RankOutcome outcome_;
  Rearrangement machine_;       ///< counts units of the program
  WaitTopic where_;             ///< what this rank is at, for failures that do not know
  std::size_t announced_ = 0;   ///< units that this rank has voted for
  std::exception_ptr trouble_;  ///< of the units staged beside a commit, until that has ended
  SteadyClock::time_point start_;
  std::map<std::size_t, std::uint64_t> staging_ranges_;  ///< of the profiler, by unit
};

}  // namespace moeshift
