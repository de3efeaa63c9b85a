// SPDX-License-Identifier: Apache-2.0
// Asynchronous rearrangements beside a load, on threads: the load is a clock.
#include <algorithm>
#include <atomic>
#include <utility>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/foreground.hpp"
#include "moeshift/execute/forwarding_memory.hpp"

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

/// What a stream of the host knows of its steps.
struct StepCount {
  std::size_t begun = 0;
  bool running = false;
};

/// A model whose stream is that.
class Streamed final : public Foreground {
 public:
  [[nodiscard]] std::unique_ptr<Pending> start_step() override {
    ++steps_->begun;
    steps_->running = true;
    return std::make_unique<Step>(clock_.start_step(), *steps_);
  }
  [[nodiscard]] ModelStream stream() const override { return steps_.get(); }
  [[nodiscard]] Seconds last_step() const override { return kStep; }

 private:
  class Step final : public Pending {
   public:
    Step(std::unique_ptr<Pending> step, StepCount& steps) : step_(std::move(step)), steps_(steps) {}
    [[nodiscard]] bool poll() override { return !(steps_.running = !step_->poll()); }

   private:
    std::unique_ptr<Pending> step_;
    StepCount& steps_;
  };

  Clock clock_;
  std::shared_ptr<StepCount> steps_ = std::make_shared<StepCount>();
};

constexpr Seconds kChange{0.25};  // what the device says that a change has taken

/// What changed on a model's stream.
struct Changes {
  std::atomic<std::size_t> made = 0;
  std::atomic<std::size_t> ahead = 0;    ///< of them, put there while the step before ran
  std::atomic<std::size_t> awaited = 0;  ///< asked for before the next step had begun
};

class StreamedMemory final : public ForwardingMemory {
 public:
  StreamedMemory(std::unique_ptr<DeviceMemory> inner, Changes& changes)
      : ForwardingMemory(std::move(inner)), changes_(changes) {}

  std::unique_ptr<Pending> point(std::byte* table, std::span<const PointerChange> changes,
                                 ModelStream stream) override {
    auto work = inner().point(table, changes, nullptr);
    if (stream == nullptr) return work;
    const StepCount& steps = *static_cast<StepCount*>(stream);
    ++changes_.made;
    if (steps.running) ++changes_.ahead;
    return std::make_unique<Change>(std::move(work), steps.begun, changes_);
  }

 private:
  class Change final : public Pending {
   public:
    Change(std::unique_ptr<Pending> change, const std::size_t& steps, Changes& changes)
        : change_(std::move(change)), steps_(steps), put_after_(steps), changes_(changes) {}
    [[nodiscard]] bool poll() override {
      if (steps_ == put_after_ && !std::exchange(awaited_, true)) ++changes_.awaited;
      return change_->poll();
    }
    [[nodiscard]] std::optional<Seconds> device_time() const override { return kChange; }

   private:
    std::unique_ptr<Pending> change_;
    const std::size_t& steps_;
    std::size_t put_after_;
    Changes& changes_;
    bool awaited_ = false;
  };

  Changes& changes_;
};

/// The host's world, whose members have a load.
class LoadedWorld final : public World {
 public:
  /// @param changes null: the load has no stream
  LoadedWorld(std::size_t ranks, const std::string& drills, Changes* changes)
      : world_(test::host_world(ranks, drills)), changes_(changes) {}

  [[nodiscard]] std::size_t size() const override { return world_->size(); }
  [[nodiscard]] std::span<const RankId> local_ranks() const override {
    return world_->local_ranks();
  }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override {
    Member member = world_->join(rank, deadline);
    if (changes_ != nullptr) {
      member.memory = std::make_unique<StreamedMemory>(std::move(member.memory), *changes_);
    }
    member.make_foreground = [this](ForegroundKind, Seconds) -> std::unique_ptr<Foreground> {
      if (changes_ != nullptr) return std::make_unique<Streamed>();
      return std::make_unique<Clock>();
    };
    return member;
  }

 private:
  std::unique_ptr<World> world_;
  Changes* changes_;
};

ShuffleOptions beside_load() {
  ShuffleOptions options;
  options.mode = ShuffleMode::kAsync;
  options.foreground = ForegroundKind::kCompute;
  options.foreground_step = kStep;
  return options;
}

std::vector<RankOutcome> perform(const Rearrangement& work, const ShuffleOptions& options,
                                 const std::string& drills = "", Changes* changes = nullptr) {
  LoadedWorld world(work.plan.ranks, drills, changes);
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

TEST_CASE("a change of the table goes between two steps of the model's stream, awaited by nobody") {
  const Rearrangement work = random_rearrangement(14, 6, 12, 4, 4);
  ShuffleOptions options = beside_load();
  options.commit = CommitKind::kFlip;
  Changes changes;
  const std::vector<RankOutcome> outcomes = perform(work, options, "", &changes);
  Seconds exposed;
  for (const RankOutcome& outcome : outcomes) {
    INFO((outcome.failure ? outcome.failure->message() : "no failure"));
    CHECK_FALSE(outcome.failure);
    CHECK(outcome.faults.empty());
    CHECK(std::ranges::all_of(outcome.layers, is_verified));
    exposed += outcome.times.exposed;
  }
  REQUIRE(changes.made > outcomes.size());
  // The end of the run waits for the last one of each rank.
  CHECK(changes.awaited <= outcomes.size());
  // Votes are in by the middle of a step, on a machine that is not too busy.
  CHECK(changes.ahead > 0);
  // The stream was at them, whoever waited.
  CHECK(exposed >= kChange * static_cast<double>(changes.made.load()));
}

TEST_CASE("a rank that fails after a change on the model's stream leaves every layer old or new") {
  const Rearrangement work = random_rearrangement(13, 6, 12, 4, 4);
  for (const char* drill : {"error:2,1", "error:3,4"}) {
    INFO(drill);
    ShuffleOptions options = beside_load();
    options.commit = CommitKind::kFlip;
    options.timeout = Seconds(0.3);
    Changes changes;
    const std::vector<RankOutcome> outcomes = perform(work, options, drill, &changes);
    CHECK(outcomes.front().failure.has_value());
    for (const RankOutcome& outcome : outcomes) CHECK(outcome.faults.empty());
  }
}
