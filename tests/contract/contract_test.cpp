// SPDX-License-Identifier: Apache-2.0
// What every transport must do (execute/transport.hpp), asked of the device transports.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

#include "moeshift/core/error.hpp"

#include "contract_worlds.hpp"
#include "tests/support/all_to_all.hpp"
#include "tests/support/any_rearrangement.hpp"
#include "tests/support/catch.hpp"

namespace moeshift {
namespace {

using test::contract_findings;
using test::contract_ranks;
using test::contract_world;
using test::for_each_rank;
using test::kPatience;
using test::peers_of;

constexpr Bytes kSlot(1024);

/// Those of `wanted` that can serve so many ranks here, or all that can. None, and a line that says
/// so, where there are too few devices for the question; skips all where there is no device.
std::vector<std::string> asked(std::size_t ranks, const std::vector<std::string>& wanted = {}) {
  std::vector<std::string> transports = test::contract_transports(ranks);
  if (!wanted.empty()) {
    std::erase_if(transports, [&](const std::string& name) {
      return std::ranges::find(wanted, name) == wanted.end();
    });
  }
  if (!transports.empty()) return transports;
  const std::string reason =
      "no transport for " + std::to_string(ranks) + " ranks that are threads here";
  if (test::contract_transports(1).empty()) test::skip(reason);
  std::printf("SKIPPED: %s: %s\n", Catch::getResultCapture().getCurrentTestName().c_str(),
              reason.c_str());
  return transports;
}

std::size_t wrong_slots_of_all_to_all(World& world, std::size_t rounds) {
  return test::wrong_slots_of_all_to_all(world, kSlot, rounds);
}

TEST_CASE("exchanges that are under way at once all arrive, first in, first out") {
  const std::vector<std::string> transports = asked(contract_ranks());
  if (transports.empty()) return;
  const std::string transport = GENERATE_COPY(from_range(transports));
  INFO(transport);
  {
    const auto world = contract_world(transport, contract_ranks(), {.seed = 3, .delay = 30});
    REQUIRE(wrong_slots_of_all_to_all(*world, 12) == 0);
  }
  REQUIRE(contract_findings() == "");
}

TEST_CASE("more exchanges than a mailbox has places are all carried out") {
  const std::vector<std::string> transports = asked(2, {"ce", "peer"});
  if (transports.empty()) return;
  const std::string transport = GENERATE_COPY(from_range(transports));
  INFO(transport);
  {
    const auto world = contract_world(transport, 2, {.seed = 4});
    REQUIRE(wrong_slots_of_all_to_all(*world, 300) == 0);
  }
  REQUIRE(contract_findings() == "");
}

TEST_CASE("a world of one rank opens and closes without waiting for anybody") {
  const std::vector<std::string> transports = asked(1);
  if (transports.empty()) return;
  const std::string transport = GENERATE_COPY(from_range(transports));
  {
    const auto world = contract_world(transport, 1);
    for_each_rank(*world, [](RankId, Member& member) {
      member.transport->connect({}, {}, Deadline::in(kPatience));
      member.transport->close(Deadline::in(kPatience));
    });
  }
  REQUIRE(contract_findings() == "");
}

TEST_CASE(
    "a rank that aborts leaves no peer waiting longer than that one wants, and nothing open") {
  const std::vector<std::string> transports = asked(2);
  if (transports.empty()) return;
  const std::string transport = GENERATE_COPY(from_range(transports));
  const Direction direction = GENERATE(Direction::kSend, Direction::kReceive);
  INFO(transport);
  std::atomic<bool> received_from_nobody = false;
  {
    const auto world = contract_world(transport, 2);
    for_each_rank(*world, [&](RankId self, Member& member) {
      std::byte* const slot = member.memory->allocate(kSlot);
      const std::vector<RankId> peers = peers_of(self, 2);
      member.transport->connect(peers, peers, Deadline::in(kPatience));
      if (self == RankId(1)) {
        member.transport->abort();
        return;
      }
      try {
        const auto pending = member.transport->exchange(
            std::vector<Message>{{peers.front(), direction, slot, kSlot}});
        const Deadline deadline = Deadline::in(Seconds(0.2));
        while (!pending->poll() && !deadline.expired()) std::this_thread::yield();
        // What is sent may lie in the transport's own buffers by then (NCCL); what is received
        // can come from nowhere.
        received_from_nobody = !deadline.expired() && direction == Direction::kReceive;
      } catch (const DeviceError&) {
        // As good: the transport has heard of it.
      }
      member.transport->abort();
      member.transport->abort();
    });
  }
  REQUIRE_FALSE(received_from_nobody);
  REQUIRE(contract_findings() == "");
}

TEST_CASE("memory that NCCL registers is given back before the communicator goes") {
  const std::size_t ranks = std::min<std::size_t>(3, contract_ranks());
  const std::vector<std::string> transports = asked(ranks, {"nccl"});
  if (transports.empty()) return;
  const std::string& transport = transports.front();
  {
    const auto world = contract_world(transport, ranks, {.settings = {{"register", ""}}});
    REQUIRE(wrong_slots_of_all_to_all(*world, 2) == 0);
  }
  REQUIRE(contract_findings() == "");
}

TEST_CASE("auto sends between nodes over NCCL and within them into memory") {
  const std::vector<std::string> transports = asked(4, {"auto"});
  if (transports.empty()) return;
  const std::string& transport = transports.front();
  {
    const auto world = contract_world(transport, 4, {.settings = {{"nodes", "2"}}});
    REQUIRE(wrong_slots_of_all_to_all(*world, 3) == 0);
    std::size_t carriers = 0;
    for (const auto& [name, value] : world->facts()) {
      if ((name == "sent_by_peer" || name == "sent_by_nccl") && value[0] != '0') ++carriers;
    }
    REQUIRE(carriers == 2);
  }
  REQUIRE(contract_findings() == "");
}

TEST_CASE("beside a model's own all-to-all, layers go live between its steps") {
  const std::size_t ranks = contract_ranks();
  // Who can carry the model's collective can serve it: NCCL wants a device for each rank.
  if (asked(ranks, {"nccl", "rccl"}).empty()) return;
  const std::string transport = GENERATE_COPY(from_range(asked(ranks, {"nccl", "peer", "rccl"})));
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 6)));
  INFO(transport << ", seed " << seed);
  const test::Rearrangement work = test::random_rearrangement(20 + seed, 5, 12, ranks, 16 / ranks);
  ShuffleOptions options;
  options.mode = ShuffleMode::kAsync;
  options.foreground = ForegroundKind::kCollective;
  options.commits_per_step = seed % 2;
  if (seed >= 3) options.commit = CommitKind::kFlip;  // changes of the table on the model's stream
  {
    const auto world = contract_world(transport, ranks, {.seed = seed, .delay = 20});
    for (const RankOutcome& outcome : run_world(*world, work.job(), options)) {
      INFO((outcome.failure ? outcome.failure->message() : "no failure"));
      CHECK_FALSE(outcome.failure);
      CHECK(outcome.faults.empty());
      CHECK(outcome.disturbed.size() >= 1);
    }
  }
  CHECK(contract_findings() == "");
}

/// "lose:2,1": one of four kinds, of any rank and layer.
std::string any_drill(const test::Rearrangement& work, Rng& rng) {
  constexpr std::array kKinds = {"lose:", "error:", "interrupt:", "sleep:"};
  const std::size_t kind = rng.below(4);
  const std::string rank = std::to_string(rng.below(static_cast<std::uint32_t>(work.plan.ranks)));
  const std::string layer =
      std::to_string(rng.below(static_cast<std::uint32_t>(work.plan.layers.size())));
  const std::string too_long = std::to_string(2 * test::contract_patience().count());
  return kKinds[kind] + rank + "," + layer + (kind >= 2 ? ",staging" : "") +
         (kind == 3 ? "," + too_long : "");
}

/// What a rank was left with, for whoever has to find out why.
std::string story_of(const RankOutcome& outcome) {
  std::string story = outcome.failure ? outcome.failure->message() : "no failure";
  for (const SlotFault& fault : outcome.faults) {
    story += "; rank " + std::to_string(fault.rank.value()) + " layer " +
             std::to_string(fault.layer.value()) + " slot " + std::to_string(fault.slot) + ": " +
             std::to_string(fault.wrong_bytes) + " bytes from " +
             std::to_string(fault.first_offset);
  }
  for (const LayerOutcome& one : outcome.layers) {
    story += "; layer " + std::to_string(one.layer.value()) + " " +
             std::string(name_of(one.phase)) + " epoch " + std::to_string(one.epoch);
  }
  return story;
}

TEST_CASE("after any failure on a device every layer of every rank is wholly old or wholly new") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 24)));
  Rng rng = Rng::stream(11284, seed);
  const test::Rearrangement work = test::any_rearrangement(rng);
  const std::vector<std::string> transports = asked(work.plan.ranks);
  if (transports.empty()) return;
  const std::string transport = transports[seed % transports.size()];
  ShuffleOptions options =
      test::any_options(rng, test::all_alike(work.plan.sizes, work.plan.layers.size()));
  options.timeout = test::contract_patience();  // set-up counts too, on a busy machine
  const std::string drill = any_drill(work, rng);
  INFO(transport << ", seed " << seed << ", " << drill);
  test::VoteWatch watch(work.plan.ranks);
  options.observers = {&watch};
  {
    const auto world = contract_world(transport, work.plan.ranks, {.seed = seed, .drills = drill});
    for (const RankOutcome& outcome : run_world(*world, work.job(), options)) {
      INFO(story_of(outcome) << "; mode " << static_cast<int>(options.mode) << ", commit "
                             << static_cast<int>(options.commit) << ", buffers "
                             << options.buffers);
      CHECK(outcome.faults.empty());
    }
  }
  CHECK(watch.early() == 0);
  CHECK(contract_findings() == "");
}

}  // namespace
}  // namespace moeshift
