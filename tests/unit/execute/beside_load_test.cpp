// SPDX-License-Identifier: Apache-2.0
// Asynchronous rearrangements beside a load, on threads: the load is a clock.
#include <algorithm>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/foreground.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;
using test::random_rearrangement;
using test::Rearrangement;

namespace {

constexpr Seconds kStep{2e-3};

class Clock final : public Foreground {
 public:
  [[nodiscard]] std::unique_ptr<Pending> start_step() override { return std::make_unique<Step>(); }
  [[nodiscard]] Seconds last_step() const override { return kStep; }

 private:
  class Step final : public Pending {
   public:
    [[nodiscard]] bool poll() override { return since(begin_) >= kStep; }

   private:
    SteadyClock::time_point begin_ = SteadyClock::now();
  };
};

/// The host's world, whose members have a load.
class LoadedWorld final : public World {
 public:
  LoadedWorld(std::size_t ranks, const std::string& drills)
      : world_(test::host_world(ranks, drills)) {}

  [[nodiscard]] std::size_t size() const override { return world_->size(); }
  [[nodiscard]] std::span<const RankId> local_ranks() const override {
    return world_->local_ranks();
  }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override {
    Member member = world_->join(rank, deadline);
    member.make_foreground = [](ForegroundKind, Seconds) { return std::make_unique<Clock>(); };
    return member;
  }

 private:
  std::unique_ptr<World> world_;
};

ShuffleOptions beside_load() {
  ShuffleOptions options;
  options.mode = ShuffleMode::kAsync;
  options.foreground = ForegroundKind::kCompute;
  options.foreground_step = kStep;
  return options;
}

std::vector<RankOutcome> perform(const Rearrangement& work, const ShuffleOptions& options,
                                 const std::string& drills = "") {
  LoadedWorld world(work.plan.ranks, drills);
  return run_world(world, work.job(), options);
}

bool is_verified(const LayerOutcome& layer) {
  return layer.phase == Phase::kVerified;
}

}  // namespace

TEST_CASE("beside a load, a layer goes live after each of its steps at most") {
  const Rearrangement work = random_rearrangement(11, 6, 12, 4, 4);
  for (const RankOutcome& outcome : perform(work, beside_load())) {
    INFO((outcome.failure ? outcome.failure->message() : "no failure"));
    CHECK_FALSE(outcome.failure);
    CHECK(outcome.faults.empty());
    CHECK(std::ranges::all_of(outcome.layers, is_verified));
    CHECK(outcome.disturbed.size() >= work.plan.batches.size());
    CHECK(outcome.times.exposed < outcome.times.total);
  }
}

TEST_CASE("without a limit, all that is staged goes live after a step of the load") {
  const Rearrangement work = random_rearrangement(12, 6, 12, 4, 4);
  ShuffleOptions options = beside_load();
  options.commits_per_step = 0;
  options.buffers = 6;
  for (const RankOutcome& outcome : perform(work, options)) {
    CHECK_FALSE(outcome.failure);
    CHECK(outcome.faults.empty());
    CHECK(std::ranges::all_of(outcome.layers, is_verified));
  }
}

TEST_CASE("a rank that fails beside a load leaves every layer old or new") {
  const Rearrangement work = random_rearrangement(13, 6, 12, 4, 4);
  for (const char* drill : {"error:2,1", "error:3,4", "sleep:3,2,voting,1"}) {
    INFO(drill);
    ShuffleOptions options = beside_load();
    options.timeout = Seconds(0.3);
    const std::vector<RankOutcome> outcomes = perform(work, options, drill);
    CHECK(outcomes.front().failure.has_value());
    for (const RankOutcome& outcome : outcomes) CHECK(outcome.faults.empty());
  }
}
