// SPDX-License-Identifier: Apache-2.0
// Bugs that users of other engines have reported, planted one by one: each is found, by a rule of
// the library or by the engine's own survey, with its rank and layer. None is found where none is
// (plans_test.cpp).
#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

#include "moeshift/core/error.hpp"

#include "planted_world.hpp"
#include "ruled_worlds.hpp"
#include "tests/support/worlds.hpp"

namespace moeshift {
namespace {

using test::Plant;

constexpr RankId kFaulty{1};
constexpr std::size_t kRanks = 4;

/// A live slot was written before all ranks had the layer: says which, and whose.
class VoteRule final : public ShuffleObserver {
 public:
  void reached(const LayerStep& step) override {
    const std::lock_guard lock(mutex_);
    std::size_t& staged = staged_[step.layer];
    if (step.phase == Phase::kStaged) ++staged;
    if (step.phase == Phase::kCommitted && staged < kRanks) early_.push_back(step);
  }
  [[nodiscard]] const std::vector<LayerStep>& early() const { return early_; }

 private:
  std::mutex mutex_;
  std::map<LayerId, std::size_t> staged_;
  std::vector<LayerStep> early_;
};

struct Found {
  std::vector<rulebook::Finding> rules;
  std::vector<SlotFault> slots;
  std::vector<LayerStep> early;
  std::size_t failed = 0;  ///< ranks

  [[nodiscard]] bool rule(const std::string& name) const {
    return std::ranges::any_of(rules, [&](const rulebook::Finding& finding) {
      return finding.rule == name && finding.rank >= 0 && names_layer(finding);
    });
  }
  static bool names_layer(const rulebook::Finding& finding) {
    return std::ranges::any_of(finding.within, [](const std::string& range) {
      return range.find("layer") != std::string::npos;
    });
  }
  [[nodiscard]] std::string text() const {
    std::string text = std::to_string(failed) + " ranks failed\n";
    for (const rulebook::Finding& finding : rules) text += finding.line() + "\n";
    for (const SlotFault& fault : slots) {
      text += "survey: rank " + std::to_string(fault.rank.value()) + ", layer " +
              std::to_string(fault.layer.value()) + "\n";
    }
    return text;
  }
};

test::Rearrangement work_of(std::uint64_t seed = 41) {
  return test::random_rearrangement(seed, 6, 16, kRanks, 5);
}

/// Each rank with a plan of its own: `plan_of` may change the faulty one's.
Found perform(const Plant& plant, const test::Rearrangement& work,
              const TransferPlan* plan_of_faulty = nullptr, rulebook::Options rules = {},
              const std::string& backend = "nccl") {
  rules.stuck_after = 0.1;
  VoteRule votes;
  ShuffleOptions options;
  options.timeout = Seconds(1.5);
  options.buffers = 2;
  options.pack_below = Bytes(0);
  options.observers = {&votes};
  Found found;
  std::mutex mutex;
  {
    test::PlantedWorld world(test::ruled_world(backend, kRanks, rules), plant);
    std::vector<std::jthread> threads;
    for (const RankId rank : world.local_ranks()) {
      threads.emplace_back([&, rank] {
        ShuffleJob job = work.job();
        if (plan_of_faulty != nullptr && rank == kFaulty) job.plan = plan_of_faulty;
        Member member = world.join(rank, Deadline::in(Seconds(20.0)));
        const RankOutcome outcome = run_rank(member, job, options);
        const std::lock_guard lock(mutex);
        if (outcome.failure) ++found.failed;
        found.slots.insert(found.slots.end(), outcome.faults.begin(), outcome.faults.end());
      });
    }
  }
  found.rules = rulebook::findings();
  found.early = votes.early();
  return found;
}

/// Changes the first exchange from `from` on that `applies` takes.
template <class Change>
Plant once(std::size_t from, Change change) {
  auto done = std::make_shared<bool>(false);
  Plant plant{.rank = kFaulty};
  plant.exchange = [=](std::size_t number, std::vector<Message> messages) {
    std::vector<std::vector<Message>> parts = {messages};
    if (number >= from && !*done) *done = change(parts);
    return parts;
  };
  return plant;
}

auto first_of(std::vector<Message>& messages, Direction direction) {
  return std::ranges::find(messages, direction, &Message::direction);
}

TEST_CASE("planted: nothing, and nothing is found") {
  const Found found = perform({.rank = kFaulty}, work_of());
  INFO(found.text());
  CHECK(found.rules.empty());
  CHECK(found.slots.empty());
  CHECK(found.early.empty());
  CHECK(found.failed == 0);
}

TEST_CASE("planted: a stale row is sent for a missing source") {
  // As if the map from experts to slots were a step old: a neighbour's row goes instead.
  test::Rearrangement work = work_of();
  const auto in_use = [&](const LayerMoves& layer, const Transfer& transfer) {
    return !layer.waves.empty() && transfer.from.kind == Place::Kind::kLive;
  };
  bool planted = false;
  for (LayerMoves& layer : work.plan.layers) {
    for (Wave& wave : layer.waves) {
      for (Transfer& transfer : wave.transfers) {
        if (planted || !in_use(layer, transfer)) continue;
        transfer.from.index = (transfer.from.index + 1) % 5;
        planted = true;
      }
    }
  }
  REQUIRE(planted);
  const Found found = perform({.rank = kFaulty}, work);
  INFO(found.text());
  CHECK_FALSE(found.slots.empty());
}

TEST_CASE("planted: a staging buffer is used again before it is consumed") {
  const Found found = perform({.rank = kFaulty, .commits_seem_done = true}, work_of(), nullptr,
                              {.seed = 5, .delay = 60});
  INFO(found.text());
  CHECK(found.rule("buffer before its event"));
}

TEST_CASE("planted: a group is split on one rank") {
  const Plant plant = once(1, [](std::vector<std::vector<Message>>& parts) {
    const std::vector<Message> all = parts.front();
    // Two messages of one pair, so that the cut is between them.
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (all[i].peer != all[j].peer || all[i].direction != all[j].direction) continue;
        const auto middle = all.begin() + static_cast<std::ptrdiff_t>(i);
        parts = {{all.begin(), middle}, {middle, all.end()}};
        return true;
      }
    }
    return false;
  });
  const Found found = perform(plant, test::random_rearrangement(43, 6, 24, kRanks, 9), nullptr,
                              {.channels = 4, .channels_per_peer = 4});
  INFO(found.text());
  CHECK(found.rule("groups cut differently"));
}

TEST_CASE("planted: a message goes to the wrong peer") {
  const Plant plant = once(1, [](std::vector<std::vector<Message>>& parts) {
    const auto message = first_of(parts.front(), Direction::kSend);
    if (message == parts.front().end()) return false;
    message->peer = RankId((message->peer.value() + 1) % kRanks == kFaulty.value()
                               ? (message->peer.value() + 2) % kRanks
                               : (message->peer.value() + 1) % kRanks);
    return true;
  });
  const Found found = perform(plant, work_of());
  INFO(found.text());
  CHECK((found.rule("stuck") || found.rule("size mismatch") || found.rule("deadlock")));
  CHECK(found.slots.empty());
}

TEST_CASE("planted: a receive is missing") {
  const Plant plant = once(1, [](std::vector<std::vector<Message>>& parts) {
    const auto message = first_of(parts.front(), Direction::kReceive);
    if (message == parts.front().end()) return false;
    parts.front().erase(message);
    return true;
  });
  const Found found = perform(plant, work_of());
  INFO(found.text());
  CHECK((found.rule("stuck") || found.rule("deadlock")));
}

TEST_CASE("planted: a rank commits before the others have voted") {
  // Only its own vote counts for it; another rank is slow to stage.
  std::size_t early = 0;
  for (std::uint64_t seed = 0; seed < 6 && early == 0; ++seed) {
    const Found found = perform({.rank = kFaulty, .hears_only_itself = true}, work_of(50 + seed),
                                nullptr, {.seed = seed, .delay = 200});
    early = static_cast<std::size_t>(std::ranges::count(found.early, kFaulty, &LayerStep::rank));
  }
  CHECK(early > 0);
}

TEST_CASE("planted: an event is never recorded") {
  const Found found = perform({.rank = kFaulty}, work_of(), nullptr,
                              {.faults = {{.kind = rulebook::Fault::Kind::kDropRecord,
                                           .rank = static_cast<int>(kFaulty.value()),
                                           .group = 3}}});
  INFO(found.text());
  CHECK(std::ranges::any_of(found.rules, [](const rulebook::Finding& finding) {
    return finding.rule == "event never recorded" &&
           finding.rank == static_cast<int>(kFaulty.value());
  }));
}

TEST_CASE("planted: a chunk is off by one") {
  SECTION("in its length on one side") {
    const Plant plant = once(1, [](std::vector<std::vector<Message>>& parts) {
      const auto message = first_of(parts.front(), Direction::kReceive);
      if (message == parts.front().end()) return false;
      message->bytes -= Bytes(1);
      return true;
    });
    const Found found = perform(plant, work_of());
    INFO(found.text());
    CHECK(found.rule("size mismatch"));
  }
  SECTION("in its place") {
    const Plant plant = once(1, [](std::vector<std::vector<Message>>& parts) {
      const auto message = first_of(parts.front(), Direction::kSend);
      if (message == parts.front().end()) return false;
      message->pointer += 1;
      return true;
    });
    const Found found = perform(plant, work_of());
    INFO(found.text());
    CHECK_FALSE(found.slots.empty());
  }
}

TEST_CASE("planted: an epoch counts a commit that was skipped") {
  Plant plant{.rank = kFaulty};
  plant.commit = [](std::size_t number, std::vector<CopyRequest> copies) {
    return number == 1 ? std::vector<CopyRequest>() : copies;
  };
  const Found found = perform(plant, work_of());
  INFO(found.text());
  REQUIRE_FALSE(found.slots.empty());
  CHECK(std::ranges::all_of(found.slots,
                            [](const SlotFault& fault) { return fault.rank == kFaulty; }));
}

TEST_CASE("planted: one rank has another plan, and says it has the same") {
  const test::Rearrangement work = work_of();
  test::Rearrangement other = work_of(42);
  other.plan.hash = work.plan.hash;
  const Found found = perform({.rank = kFaulty}, work, &other.plan);
  INFO(found.text());
  CHECK((found.rule("stuck") || found.rule("size mismatch") || found.rule("deadlock") ||
         !found.slots.empty()));
}

}  // namespace
}  // namespace moeshift
