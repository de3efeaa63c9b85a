// SPDX-License-Identifier: Apache-2.0
// Runs that fail and are resumed, several times in a row, on the memory that the ranks were left
// with: what the journal makes a run believe is compared with the bytes that are there.
#include <array>

#include <fmt/format.h>

#include "moeshift/execute/journal/journal_file.hpp"
#include "moeshift/execute/journal/resume.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/kept_memory.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;

namespace {

constexpr Seconds kPatience{20.0};
constexpr Seconds kShort{0.25};

/// A rearrangement that is planned again from wherever it was left.
struct Task {
  Placement old;
  Placement next;
  ExpertLayouts layout;
  ScheduleOptions schedule;

  [[nodiscard]] test::Rearrangement from(const Placement& start) const {
    return test::rearrangement(start, next, 2, layout, schedule);
  }
};

Task any_task(Rng& rng) {
  const std::size_t ranks = 2 + rng.below(3);
  const std::size_t experts = 12 + rng.below(12);
  const std::size_t slots = (experts + ranks - 1) / ranks + rng.below(4);
  const test::PlacementShape shape{1 + rng.below(4), experts, ranks, slots};
  Task task{.old = test::random_placement(shape, rng),
            .next = test::random_placement(shape, rng),
            .layout = single_tensor_layout(Bytes(16 * (1 + rng.below(64)))),
            .schedule = {}};
  const Bytes expert = task.layout.sizes().largest();
  // A few experts at a time: several waves per layer. Or many: layers that go live together.
  if (rng.below(3) > 0) task.schedule.staging_bytes = expert * (3 + rng.below(3));
  if (rng.below(3) == 0) task.schedule.join.below = expert * 20;
  return task;
}

std::string any_drill(Rng& rng, const Task& task) {
  const std::uint32_t rank = rng.below(static_cast<std::uint32_t>(task.old.ranks()));
  const std::uint32_t layer = rng.below(static_cast<std::uint32_t>(task.old.layers()));
  constexpr std::array kPhases = {"staging", "voting", "committing"};
  const char* phase = kPhases[rng.below(3)];
  switch (rng.below(8)) {
    case 0:
      return fmt::format("lose:{},{}", rank, layer);
    case 1:
      return fmt::format("sleep:{},{},{},0.6", rank, layer, phase);
    case 2:
    case 3:
    case 4:
      return fmt::format("error:{},{}", rank, layer);
    default:
      return fmt::format("interrupt:{},{},{}", rank, layer, phase);
  }
}

class Resumer {
 public:
  Resumer(const Task& task, ShuffleOptions options) : task_(task), options_(std::move(options)) {}

  /// One run, from what the journal says. @return its outcomes.
  /// @param timeout short where a fault is to be noticed.
  std::vector<RankOutcome> run(std::unique_ptr<World> world, Seconds timeout = kPatience) {
    JournalFile journal(path(), runs_++ == 0 ? JournalUse::kStart : JournalUse::kResume, kPatience);
    const Placement start = believed(journal);
    const test::Rearrangement work = task_.from(start);
    journal.start({.old_placement = content_hash(start),
                   .new_placement = content_hash(task_.next),
                   .plan = work.plan.hash,
                   .ranks = work.plan.ranks});
    options_.observers = {&journal};
    options_.decisions = &journal;
    options_.timeout = timeout;
    test::KeptWorld kept(std::move(world), blocks_);
    return run_world(kept, work.job(), options_);
  }

  /// Where the experts are, by the journal.
  [[nodiscard]] Placement believed(const JournalFile& journal) const {
    return placement_after(
        journal.read(), task_.old, task_.next,
        [&](const Placement& from, std::size_t) { return task_.from(from).plan; });
  }
  [[nodiscard]] Placement believed() const {
    return believed(JournalFile(path(), JournalUse::kResume, kPatience));
  }
  [[nodiscard]] std::uint64_t differences() const { return blocks_.differences(); }

 private:
  [[nodiscard]] std::string path() const { return folder_ / "journal"; }

  const Task& task_;
  ShuffleOptions options_;
  test::Folder folder_;
  test::KeptBlocks blocks_;
  std::size_t runs_ = 0;
};

void require_good(const std::vector<RankOutcome>& outcomes) {
  for (const RankOutcome& outcome : outcomes) {
    INFO((outcome.failure ? outcome.failure->message() : ""));
    REQUIRE_FALSE(outcome.failure);
    REQUIRE(outcome.faults.empty());
  }
}

}  // namespace

TEST_CASE("a resumed run believes what the memory of the dead run holds, five times in a row") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 30)));
  INFO("seed " << seed);
  Rng rng = Rng::stream(20990, seed);
  const Task task = any_task(rng);
  ShuffleOptions options;
  options.buffers = 1 + rng.below(3);
  options.seed = rng.next();
  Resumer resumer(task, options);
  const std::size_t failures = 1 + rng.below(5);
  for (std::size_t run = 0; run < failures; ++run) {
    const std::string drill = any_drill(rng, task);
    INFO("run " << run + 1 << ", " << drill);
    for (const RankOutcome& outcome : resumer.run(test::host_world(task.old.ranks(), drill))) {
      REQUIRE(outcome.faults.empty());
    }
    REQUIRE(resumer.differences() == 0);
  }
  require_good(resumer.run(test::host_world(task.old.ranks())));
  REQUIRE(resumer.differences() == 0);
  require_good(resumer.run(test::host_world(task.old.ranks())));  // nothing is left to do
  REQUIRE(resumer.differences() == 0);
  const Placement end = resumer.believed();
  for (const LayerId layer : all_ids<LayerId>(task.next.layers())) {
    REQUIRE(std::ranges::equal(end.layer(layer), task.next.layer(layer)));
  }
}

namespace {

/// Never hears that all have voted for a unit, although they have.
class Deaf final : public ControlPlane {
 public:
  Deaf(std::unique_ptr<ControlPlane> inner, std::size_t vote)
      : inner_(std::move(inner)), left_(vote) {}

  RankId self() const override { return inner_->self(); }
  std::size_t size() const override { return inner_->size(); }
  std::unique_ptr<Gathering> all_gather(std::string_view mine) override {
    auto gathering = inner_->all_gather(mine);
    const bool vote = !mine.empty() && mine.size() < 4;  // a number of units, alone
    if (!vote || left_-- > 0) return gathering;
    return std::make_unique<Silence>(std::move(gathering));
  }
  void fail(const Failure& failure) noexcept override { inner_->fail(failure); }
  std::optional<Failure> failure() const override { return inner_->failure(); }
  void close() noexcept override { inner_->close(); }

 private:
  class Silence final : public Gathering {
   public:
    explicit Silence(std::unique_ptr<Gathering> inner) : inner_(std::move(inner)) {}
    bool poll() override { return false; }
    const std::vector<std::string>& values() const override { return inner_->values(); }

   private:
    std::unique_ptr<Gathering> inner_;
  };

  std::unique_ptr<ControlPlane> inner_;
  std::size_t left_;
};

class WorldWithDeafRank final : public World {
 public:
  WorldWithDeafRank(std::unique_ptr<World> world, std::size_t vote)
      : world_(std::move(world)), vote_(vote) {}

  [[nodiscard]] std::size_t size() const override { return world_->size(); }
  [[nodiscard]] std::span<const RankId> local_ranks() const override {
    return world_->local_ranks();
  }
  [[nodiscard]] Member join(RankId rank, Deadline deadline) override {
    Member member = world_->join(rank, deadline);
    if (rank == RankId(1)) {
      member.control = std::make_unique<Deaf>(std::move(member.control), vote_);
    }
    return member;
  }

 private:
  std::unique_ptr<World> world_;
  std::size_t vote_;
};

}  // namespace

TEST_CASE("a rank that never hears of the vote does what the others did, and the journal says so") {
  const auto vote = static_cast<std::size_t>(GENERATE(range(0, 4)));
  INFO("deaf from vote " << vote);
  Rng rng(vote + 1);
  Task task = any_task(rng);
  task.schedule = {};
  task.schedule.staging_bytes = task.layout.sizes().largest() * std::int64_t{4};
  ShuffleOptions options;
  options.buffers = 1;
  Resumer resumer(task, options);
  const std::vector<RankOutcome> outcomes = resumer.run(
      std::make_unique<WorldWithDeafRank>(test::host_world(task.old.ranks()), vote), kShort);
  REQUIRE(outcomes[1].failure);
  for (const RankOutcome& outcome : outcomes) {
    CHECK(outcome.faults.empty());
    for (std::size_t layer = 0; layer < outcome.layers.size(); ++layer) {
      CHECK(outcome.layers[layer].waves_committed == outcomes[0].layers[layer].waves_committed);
    }
  }
  require_good(resumer.run(test::host_world(task.old.ranks())));
  CHECK(resumer.differences() == 0);
}
