// SPDX-License-Identifier: Apache-2.0
// All ranks of this process, a thread each.
#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/engine/outcome_json.hpp"
#include "moeshift/execute/engine/rank_shuffle.hpp"
#include "moeshift/execute/shuffle.hpp"

namespace moeshift {
namespace {

/// One local rank from joining to leaving.
class RankThread {
 public:
  RankThread(World& world, RankId rank, const ShuffleJob& job, const ShuffleOptions& options)
      : world_(world), rank_(rank), job_(job), options_(options) {}

  void run() {
    try {
      Member member = world_.join(rank_, Deadline::in(options_.timeout));
      outcomes_.push_back(run_rank(member, job_, options_));
      if (outcomes_[0].failure) return;
      if (world_.local_ranks().size() < world_.size()) collect(member);
      member.transport->close(Deadline::in(options_.timeout));
      member.control->close();
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  /// @throws what run() caught.
  std::vector<RankOutcome> take() {
    if (error_) std::rethrow_exception(error_);
    return std::move(outcomes_);
  }

 private:
  /// Every rank tells every other what it found.
  void collect(Member& member) {
    const auto gathering = member.control->all_gather(to_text(outcomes_[0]));
    const Waiter waiter(member, options_.interrupted);
    waiter.until(*gathering, {.phase = Phase::kVerified, .wanted = "result"},
                 Deadline::in(options_.timeout));
    outcomes_.clear();
    for (const RankId rank : all_ids<RankId>(gathering->values().size())) {
      outcomes_.push_back(told_by(rank, gathering->values()[rank.index()]));
    }
  }

  /// A peer's words are checked like a file's, but what is wrong with them is no fault of the user.
  [[nodiscard]] RankOutcome told_by(RankId rank, const std::string& text) const {
    try {
      RankOutcome outcome = outcome_from_text(text);
      const bool fits =
          outcome.rank == rank && std::ranges::equal(outcome.layers, job_.plan->layers, {},
                                                     &LayerOutcome::layer, &LayerMoves::layer);
      if (fits) return outcome;
    } catch (const InputError& error) {
      throw DeviceError(error.what());
    }
    throw DeviceError(fmt::format("rank {} told of another rearrangement", rank.value()));
  }

  World& world_;
  RankId rank_;
  const ShuffleJob& job_;
  const ShuffleOptions& options_;
  std::vector<RankOutcome> outcomes_;
  std::exception_ptr error_;
};

}  // namespace

RankOutcome run_rank(Member& member, const ShuffleJob& job, const ShuffleOptions& options) {
  return RankShuffle(member, job, options).run();
}

std::vector<RankOutcome> run_world(World& world, const ShuffleJob& job,
                                   const ShuffleOptions& options) {
  MOESHIFT_CHECK(job.plan->ranks == world.size());
  MOESHIFT_CHECK(job.plan->sizes == job.layout.sizes());
  std::vector<RankThread> ranks;
  for (const RankId rank : world.local_ranks()) ranks.emplace_back(world, rank, job, options);
  {
    std::vector<std::jthread> threads;
    for (RankThread& rank : ranks) threads.emplace_back([&rank] { rank.run(); });
  }
  std::vector<RankOutcome> outcomes;
  for (RankThread& rank : ranks) {
    for (RankOutcome& outcome : rank.take()) outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

std::vector<Bytes> memory_needed(const ShuffleJob& job, const ShuffleOptions& options,
                                 Bytes pack_below) {
  MessageRules rules{.pack_below = options.pack_below.value_or(pack_below),
                     .cells = options.commit == CommitKind::kFlip};
  suit_weights(rules, job, options);
  std::vector<Bytes> needed;
  for (const RankId rank : all_ids<RankId>(job.plan->ranks)) {
    RankProgram program = make_rank_program(*job.plan, rank, job.layout, rules);
    for (const ShuffleJob* next = job.back; next != nullptr; next = next->back) {
      program.reserve_for(make_rank_program(*next->plan, rank, job.layout, rules));
    }
    const Bytes live = options.weights == nullptr ? Bytes(0) : program.live;
    needed.push_back(program.memory(options.buffers) - live);
  }
  return needed;
}

}  // namespace moeshift
