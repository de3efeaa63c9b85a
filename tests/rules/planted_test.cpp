// SPDX-License-Identifier: Apache-2.0
// Bugs that users of other engines have reported, planted one by one: each is found, by a rule of
// the library or by the engine's own survey, with its rank and layer. None is found where none is
// (plans_test.cpp). Two more of the dozen are in calls_test.cpp, where communicators are at hand.
#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/peer_schedules.hpp"

#include "planted_world.hpp"
#include "ruled_worlds.hpp"
#include "tests/support/worlds.hpp"

namespace moeshift {
namespace {

using test::Plant;
using test::Spot;

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
  [[nodiscard]] std::vector<LayerStep> early() const {
    const std::lock_guard lock(mutex_);
    return early_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<LayerId, std::size_t> staged_;
  std::vector<LayerStep> early_;
};

std::string layer_name(LayerId layer) {
  return "layer " + std::to_string(layer.value());
}

/// "stage layer 3" as "layer 3".
std::string layer_of(const std::string& range) {
  return range.substr(std::min(range.find("layer"), range.size()));
}

/// A rule that was broken by one of the ranks that the bug concerns, about a layer in which it
/// acted, and says both.
bool is_of(const rulebook::Finding& finding, const std::vector<std::string>& rules,
           const Spot& spot) {
  if (std::ranges::find(rules, finding.rule) == rules.end() || finding.rank < 0) return false;
  const RankId rank(static_cast<std::uint32_t>(finding.rank));
  const auto named = std::ranges::find_if(
      finding.within, [&](const std::string& name) { return spot.was_in(layer_of(name)); });
  if (!spot.concerns(rank) || named == finding.within.end()) return false;
  const std::string line = finding.line();
  return line.find("rank " + std::to_string(finding.rank) + ":") != std::string::npos &&
         line.find("[" + *named + "]") != std::string::npos;
}

struct Found {
  std::vector<rulebook::Finding> rules;
  std::vector<SlotFault> slots;
  std::vector<LayerStep> early;
  std::size_t failed = 0;  ///< ranks
  std::shared_ptr<Spot> spot;

  [[nodiscard]] bool rule(const std::vector<std::string>& names) const {
    return std::ranges::any_of(
        rules, [&](const rulebook::Finding& finding) { return is_of(finding, names, *spot); });
  }
  /// Wrong slots, all of them of this rank and layer.
  [[nodiscard]] bool only_slots_of(RankId rank, LayerId layer) const {
    return !slots.empty() && std::ranges::all_of(slots, [&](const SlotFault& fault) {
      return fault.rank == rank && fault.layer == layer;
    });
  }
  /// Wrong slots, all of ranks and layers in which the bug acted.
  [[nodiscard]] bool only_slots_of_the_bug() const {
    return !slots.empty() && std::ranges::all_of(slots, [&](const SlotFault& fault) {
      const std::string layer = layer_name(fault.layer);
      return spot->concerns(fault.rank) && spot->was_in(layer);
    });
  }
  [[nodiscard]] std::string text() const {
    std::string text = std::to_string(failed) + " ranks failed\n";
    for (const rulebook::Finding& finding : rules) text += finding.line() + "\n";
    for (const SlotFault& fault : slots) {
      text += "survey: rank " + std::to_string(fault.rank.value()) + ", " +
              layer_name(fault.layer) + "\n";
    }
    for (const LayerStep& step : early) {
      text += "before the vote: rank " + std::to_string(step.rank.value()) + ", " +
              layer_name(step.layer) + "\n";
    }
    return text;
  }
};

test::Rearrangement work_of(std::uint64_t seed = 41) {
  return test::random_rearrangement(seed, 6, 16, kRanks, 5);
}

/// How a planted bug is looked for.
struct Search {
  /// The shuffle ends as soon as one of these is found where the bug acted: what waits for ever is
  /// not waited for.
  std::vector<std::string> until = {};
  /// A layer is exchanged once all ranks have committed the one before, as peers do: what is
  /// missing is not made up for by messages of later layers.
  bool lockstep = false;
  const TransferPlan* plan_of_faulty = nullptr;
  VoteRule* votes = nullptr;  ///< where plants ask for it themselves
};

Found perform(const std::vector<Plant>& plants, const test::Rearrangement& work,
              const Search& search = {}, rulebook::Options rules = {}) {
  if (!search.until.empty()) rules.stuck_after = 0.1;
  VoteRule own_votes;
  VoteRule& votes = search.votes != nullptr ? *search.votes : own_votes;
  Found found;
  found.spot = plants.front().spot;
  ShuffleOptions options;
  options.timeout = Seconds(20.0);
  options.buffers = 2;
  options.pack_below = Bytes(0);
  options.observers = {&votes};
  options.lockstep = search.lockstep;
  options.interrupted = [&] {
    if (search.until.empty()) return false;
    const auto all = rulebook::findings();
    return std::ranges::any_of(
        all, [&](const auto& finding) { return is_of(finding, search.until, *found.spot); });
  };
  std::mutex mutex;
  {
    test::PlantedWorld world(test::ruled_world("nccl", kRanks, rules), plants);
    std::vector<std::jthread> threads;
    for (const RankId rank : world.local_ranks()) {
      threads.emplace_back([&, rank] {
        ShuffleJob job = work.job();
        if (search.plan_of_faulty != nullptr && rank == kFaulty) job.plan = search.plan_of_faulty;
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

using Parts = std::vector<std::vector<Message>>;

/// Changes the first exchange from the second on of which `change` says whom it concerns besides.
template <class Change>
Plant once(Change change) {
  Plant plant{.rank = kFaulty};
  auto done = std::make_shared<bool>(false);
  plant.exchange = [done, change, spot = plant.spot](std::size_t number,
                                                     std::vector<Message> messages) {
    Parts parts = {std::move(messages)};
    if (number == 0 || *done) return parts;
    std::vector<RankId> concerned = change(parts);
    if (concerned.empty()) return parts;
    concerned.push_back(kFaulty);
    spot->mark(std::move(concerned));
    *done = true;
    return parts;
  };
  return plant;
}

/// The same, where one message is changed.
template <class Change>
Plant once_for(Direction direction, Change change) {
  return once([=](Parts& parts) -> std::vector<RankId> {
    std::vector<Message>& messages = parts.front();
    const auto message = std::ranges::find(messages, direction, &Message::direction);
    if (message == messages.end()) return {};
    std::vector<RankId> concerned = {message->peer};
    const std::vector<RankId> more = change(messages, message);
    concerned.insert(concerned.end(), more.begin(), more.end());
    return concerned;
  });
}

const std::vector<std::string> kHangs = {"stuck", "deadlock"};

TEST_CASE("planted: nothing, and nothing is found") {
  const Found found = perform({{.rank = kFaulty}}, work_of());
  INFO(found.text());
  CHECK(found.rules.empty());
  CHECK(found.slots.empty());
  CHECK(found.early.empty());
  CHECK(found.failed == 0);
}

TEST_CASE("planted: a stale row is sent for a missing source, found with rank and layer") {
  // As if the map from experts to slots were a step old: a neighbour's row goes instead.
  test::Rearrangement work = work_of();
  const Transfer* planted = nullptr;
  LayerId in_layer;
  for (LayerMoves& layer : work.plan.layers) {
    for (Wave& wave : layer.waves) {
      for (Transfer& transfer : wave.transfers) {
        if (planted != nullptr || transfer.from.kind != Place::Kind::kLive) continue;
        transfer.from.index = (transfer.from.index + 1) % 5;
        planted = &transfer;
        in_layer = layer.layer;
      }
    }
  }
  REQUIRE(planted != nullptr);
  const Found found = perform({{.rank = kFaulty}}, work);
  INFO(found.text());
  CHECK(found.only_slots_of(planted->destination, in_layer));
}

TEST_CASE("planted: a staging buffer is used again before it is consumed: rank and layer") {
  Plant plant{.rank = kFaulty, .commits_seem_done = true};
  // Every exchange from the third on, of two buffers, reuses what such a commit still reads. Which
  // of them comes too early is the machine's affair.
  plant.exchange = [spot = plant.spot](std::size_t number, std::vector<Message> messages) {
    if (number >= 2) spot->mark({kFaulty});
    return Parts{std::move(messages)};
  };
  const Found found = perform({plant}, work_of(), {}, {.seed = 5, .delay = 60});
  INFO(found.text());
  CHECK(found.rule({"buffer before its event"}));
}

TEST_CASE("planted: a group is split on one rank, found with rank and layer") {
  const Plant plant = once([](Parts& parts) -> std::vector<RankId> {
    const std::vector<Message> all = parts.front();
    // Two messages of one pair, so that the cut is between them.
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (all[i].peer != all[j].peer || all[i].direction != all[j].direction) continue;
        const auto middle = all.begin() + static_cast<std::ptrdiff_t>(i);
        parts = {{all.begin(), middle}, {middle, all.end()}};
        return {all[i].peer};
      }
    }
    return {};
  });
  const std::vector<std::string> wanted = {"groups cut differently"};
  const Found found = perform({plant}, test::random_rearrangement(43, 6, 24, kRanks, 9),
                              {.until = wanted}, {.channels = 4, .channels_per_peer = 4});
  INFO(found.text());
  CHECK(found.rule(wanted));
}

TEST_CASE("planted: a message goes to the wrong peer, found with rank and layer") {
  const Plant plant = once_for(Direction::kSend, [](auto&, auto message) {
    do {
      message->peer = RankId((message->peer.value() + 1) % kRanks);
    } while (message->peer == kFaulty);
    return std::vector<RankId>{message->peer};
  });
  std::vector<std::string> wanted = kHangs;
  wanted.emplace_back("size mismatch");
  const Found found = perform({plant}, work_of(), {.until = wanted});
  INFO(found.text());
  CHECK(found.rule(wanted));
  CHECK(found.slots.empty());
}

TEST_CASE("planted: a receive is missing, found with rank and layer") {
  const Plant plant = once_for(Direction::kReceive, [](auto& messages, auto message) {
    messages.erase(message);
    return std::vector<RankId>{};
  });
  const Found found = perform({plant}, work_of(), {.until = kHangs, .lockstep = true});
  INFO(found.text());
  CHECK(found.rule(kHangs));
}

TEST_CASE("planted: a rank commits before the others have voted, found with rank and layer") {
  // Only its own vote counts for it, and a rank that has all it needs does not see it before.
  VoteRule votes;
  constexpr RankId kSlow{2};
  const Deadline patience = Deadline::in(Seconds(20.0));
  const auto holds = [&] { return votes.early().empty() && !patience.expired(); };
  const test::Rearrangement work = work_of();
  const Found found =
      perform({{.rank = kFaulty, .hears_only_itself = true}, {.rank = kSlow, .holds = holds}}, work,
              {.votes = &votes});
  INFO(found.text());
  REQUIRE_FALSE(found.early.empty());
  CHECK(found.early.front().rank == kFaulty);
  CHECK(found.early.front().layer == work.plan.layers.front().layer);
}

TEST_CASE("planted: an event is never recorded, found with rank and layer") {
  Plant plant{.rank = kFaulty};
  plant.exchange = [spot = plant.spot](std::size_t number, std::vector<Message> messages) {
    if (number == 1) {
      spot->mark({kFaulty});
      rulebook::drop_records();
    }
    return Parts{std::move(messages)};
  };
  const Found found = perform({plant}, work_of());
  INFO(found.text());
  CHECK(found.rule({"event never recorded"}));
}

TEST_CASE("planted: a chunk is off by one, found with rank and layer") {
  SECTION("in its length on one side") {
    const Plant plant = once_for(Direction::kReceive, [](auto&, auto message) {
      message->bytes -= Bytes(1);
      return std::vector<RankId>{};
    });
    const Found found = perform({plant}, work_of());
    INFO(found.text());
    CHECK(found.rule({"size mismatch"}));
  }
  SECTION("in its place") {
    const Plant plant = once_for(Direction::kSend, [](auto&, auto message) {
      message->pointer += 1;
      return std::vector<RankId>{};
    });
    const Found found = perform({plant}, work_of());
    INFO(found.text());
    CHECK(found.only_slots_of_the_bug());
  }
}

TEST_CASE("planted: an epoch counts a commit that was skipped, found with rank and layer") {
  Plant plant{.rank = kFaulty};
  plant.commit = [spot = plant.spot](std::size_t number, std::vector<CopyRequest> copies) {
    if (number != 1) return copies;
    spot->mark({kFaulty});
    return std::vector<CopyRequest>();
  };
  const Found found = perform({plant}, work_of());
  INFO(found.text());
  CHECK(found.only_slots_of_the_bug());
}

TEST_CASE("planted: one rank has another plan and says it has the same: rank and layer") {
  const test::Rearrangement work = work_of();
  test::Rearrangement other = work_of(42);
  other.plan.hash = work.plan.hash;
  Plant plant{.rank = kFaulty};
  plant.exchange = [spot = plant.spot](std::size_t number, std::vector<Message> messages) {
    // All ranks are concerned: each waits for what the faulty one will not send.
    if (number == 0) spot->mark({RankId(0), RankId(1), RankId(2), RankId(3)});
    return Parts{std::move(messages)};
  };
  std::vector<std::string> wanted = kHangs;
  wanted.insert(wanted.end(), {"size mismatch", "groups cut differently"});
  const Found found = perform({plant}, work, {.until = wanted, .plan_of_faulty = &other.plan});
  INFO(found.text());
  CHECK(found.rule(wanted));
}

TEST_CASE("a peer's known hang: one tensor is sent where several are awaited, rank and layer") {
  // vllm-ascend#11284, in its own order: unquantised weights were kept, and sent, as one tensor.
  const SlotLayout layout{.tensors = {{"up", Bytes(0), Bytes(1024)},
                                      {"scale", Bytes(1024), Bytes(512)},
                                      {"down", Bytes(1536), Bytes(1536)}},
                          .slot_bytes = Bytes(3072)};
  test::Rearrangement work = work_of();
  work.layout = layout;
  work.plan = make_peer_plan(PeerSchedule::kAscend, work.old, work.next, Topology(kRanks, 1),
                             work.layout.sizes(), 3, Threads{1});
  Plant plant{.rank = kFaulty};
  auto whole = std::make_shared<std::optional<Message>>();
  plant.exchange = [whole, spot = plant.spot](std::size_t number, std::vector<Message> messages) {
    const auto first = std::ranges::find_if(messages, [](const Message& message) {
      return message.direction == Direction::kSend && message.bytes == Bytes(1024);
    });
    if (number > 0 && !*whole && first != messages.end()) {
      first->bytes = Bytes(3072);
      *whole = *first;
      spot->mark({kFaulty, first->peer});
    }
    if (*whole) {
      std::erase_if(messages, [&](const Message& message) {
        return message.direction == Direction::kSend && message.peer == (*whole)->peer &&
               message.pointer > (*whole)->pointer && message.pointer < (*whole)->pointer + 3072;
      });
    }
    return Parts{std::move(messages)};
  };
  const Found found = perform({plant}, work, {.until = kHangs, .lockstep = true});
  INFO(found.text());
  CHECK(found.rule(kHangs));
  CHECK(found.rule({"size mismatch"}));
}

}  // namespace
}  // namespace moeshift
