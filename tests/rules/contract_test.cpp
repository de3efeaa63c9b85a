// SPDX-License-Identifier: Apache-2.0
// What every transport must do (execute/transport.hpp), asked of the device transports.
#include <algorithm>
#include <atomic>
#include <thread>

#include "moeshift/core/error.hpp"

#include "ruled_worlds.hpp"
#include "tests/support/all_to_all.hpp"
#include "tests/support/any_rearrangement.hpp"

namespace moeshift {
namespace {

using test::for_each_rank;
using test::kPatience;
using test::peers_of;

constexpr Bytes kSlot(1024);

std::string any_transport() {
  return GENERATE(as<std::string>{}, "nccl", "ce", "peer", "auto", "rccl", "hccl");
}

std::size_t wrong_slots_of_all_to_all(World& world, std::size_t rounds) {
  return test::wrong_slots_of_all_to_all(world, kSlot, rounds);
}

TEST_CASE("exchanges that are under way at once all arrive, first in, first out") {
  const std::string backend = any_transport();
  INFO(backend);
  {
    const auto world = test::ruled_world(backend, 4, {.seed = 3, .delay = 30});
    REQUIRE(wrong_slots_of_all_to_all(*world, 12) == 0);
  }
  REQUIRE(test::text_of_findings() == "");
}

TEST_CASE("more exchanges than a mailbox has places are all carried out") {
  for (const char* backend : {"ce", "peer"}) {
    INFO(backend);
    {
      const auto world = test::ruled_world(backend, 2, {.seed = 4});
      REQUIRE(wrong_slots_of_all_to_all(*world, 300) == 0);
    }
    REQUIRE(test::text_of_findings() == "");
  }
}

TEST_CASE("a world of one rank opens and closes without waiting for anybody") {
  const std::string backend = any_transport();
  {
    const auto world = test::ruled_world(backend, 1);
    for_each_rank(*world, [](RankId, Member& member) {
      member.transport->connect({}, {}, Deadline::in(kPatience));
      member.transport->close(Deadline::in(kPatience));
    });
  }
  REQUIRE(test::text_of_findings() == "");
}

TEST_CASE(
    "a rank that aborts leaves no peer waiting longer than that one wants, and nothing open") {
  const std::string backend = any_transport();
  const Direction direction = GENERATE(Direction::kSend, Direction::kReceive);
  INFO(backend);
  std::atomic<bool> finished = false;
  {
    const auto world = test::ruled_world(backend, 2);
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
        finished = !deadline.expired();
      } catch (const DeviceError&) {
        // As good: the transport has heard of it.
      }
      member.transport->abort();
      member.transport->abort();
    });
  }
  REQUIRE_FALSE(finished);
  REQUIRE(test::text_of_findings() == "");
}

TEST_CASE("HCCL connects all pairs in one round where it is asked to") {
  {
    const auto world = test::ruled_world("hccl", 4, {}, "", {{"one-round", ""}});
    REQUIRE(wrong_slots_of_all_to_all(*world, 2) == 0);
  }
  REQUIRE(test::text_of_findings() == "");
}

TEST_CASE("memory that NCCL registers is given back before the communicator goes") {
  {
    const auto world = test::ruled_world("nccl", 3, {}, "", {{"register", ""}});
    REQUIRE(wrong_slots_of_all_to_all(*world, 2) == 0);
  }
  REQUIRE(test::text_of_findings() == "");
}

TEST_CASE("auto sends between nodes over NCCL and within them into memory") {
  {
    const auto world = test::ruled_world("auto", 4, {}, "", {{"nodes", "2"}});
    REQUIRE(wrong_slots_of_all_to_all(*world, 3) == 0);
    std::size_t carriers = 0;
    for (const auto& [name, value] : world->facts()) {
      if ((name == "sent_by_peer" || name == "sent_by_nccl") && value[0] != '0') ++carriers;
    }
    REQUIRE(carriers == 2);
  }
  REQUIRE(test::text_of_findings() == "");
}

TEST_CASE("more memory than the device has is refused before anything moves") {
  const auto world = test::ruled_world("nccl", 1, {.device_bytes = std::size_t{8} << 20U});
  for_each_rank(*world, [](RankId, Member& member) {
    REQUIRE_THROWS_AS(member.memory->allocate(Bytes(9 << 20)), InfeasibleError);
    member.transport->close(Deadline::in(kPatience));
  });
}

TEST_CASE("beside a model's own all-to-all, layers go live between its steps") {
  const std::string backend = GENERATE(as<std::string>{}, "nccl", "peer", "rccl");
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 6)));
  INFO(backend << ", seed " << seed);
  const test::Rearrangement work = test::random_rearrangement(20 + seed, 5, 12, 4, 4);
  ShuffleOptions options;
  options.mode = ShuffleMode::kAsync;
  options.foreground = ForegroundKind::kCollective;
  options.commits_per_step = seed % 2;
  if (seed >= 3) options.commit = CommitKind::kFlip;  // changes of the table on the model's stream
  {
    const auto world = test::ruled_world(backend, 4, {.seed = seed, .delay = 20});
    for (const RankOutcome& outcome : run_world(*world, work.job(), options)) {
      INFO((outcome.failure ? outcome.failure->message() : "no failure"));
      CHECK_FALSE(outcome.failure);
      CHECK(outcome.faults.empty());
      CHECK(outcome.disturbed.size() >= 1);
    }
  }
  CHECK(test::text_of_findings() == "");
}

constexpr std::array kDrilled = {"nccl", "peer", "ce", "rccl", "hccl", "nccl"};

TEST_CASE("after any failure on a device every layer of every rank is wholly old or wholly new") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 24)));
  const std::string backend = kDrilled[seed % kDrilled.size()];
  INFO(backend << ", seed " << seed);
  Rng rng = Rng::stream(11284, seed);
  const test::Rearrangement work = test::any_rearrangement(rng);
  ShuffleOptions options =
      test::any_options(rng, test::all_alike(work.plan.sizes, work.plan.layers.size()));
  options.timeout = Seconds(0.8);  // set-up counts too, on a busy machine
  constexpr std::array kKinds = {"lose:", "error:", "interrupt:", "sleep:"};
  const std::size_t kind = rng.below(4);
  const std::string rank = std::to_string(rng.below(static_cast<std::uint32_t>(work.plan.ranks)));
  const std::string layer =
      std::to_string(rng.below(static_cast<std::uint32_t>(work.plan.layers.size())));
  const std::string drill =
      kKinds[kind] + rank + "," + layer + (kind >= 2 ? ",staging" : "") + (kind == 3 ? ",1.6" : "");
  INFO(drill);
  test::VoteWatch watch(work.plan.ranks);
  options.observers = {&watch};
  {
    const auto world = test::ruled_world(backend, work.plan.ranks, {.seed = seed}, drill);
    for (const RankOutcome& outcome : run_world(*world, work.job(), options)) {
      std::string where = outcome.failure ? outcome.failure->message() : "no failure";
      for (const SlotFault& fault : outcome.faults) {
        where += "; rank " + std::to_string(fault.rank.value()) + " layer " +
                 std::to_string(fault.layer.value()) + " slot " + std::to_string(fault.slot) +
                 ": " + std::to_string(fault.wrong_bytes) + " bytes from " +
                 std::to_string(fault.first_offset);
      }
      for (const LayerOutcome& one : outcome.layers) {
        where += "; layer " + std::to_string(one.layer.value()) + " " +
                 std::string(name_of(one.phase)) + " epoch " + std::to_string(one.epoch);
      }
      INFO(where << "; mode " << static_cast<int>(options.mode) << ", commit "
                 << static_cast<int>(options.commit) << ", buffers " << options.buffers);
      CHECK(outcome.faults.empty());
    }
  }
  CHECK(watch.early() == 0);
  CHECK(test::text_of_findings() == "");
}

TEST_CASE("a library that refuses, fails later or never ends makes the shuffle fail, not hang") {
  using Kind = rulebook::Fault::Kind;
  const Kind kind = GENERATE(Kind::kRefuse, Kind::kAsync, Kind::kStop);
  const auto group = static_cast<std::size_t>(GENERATE(0, 1, 3));
  const test::Rearrangement work = test::random_rearrangement(31, 6, 12, 4, 4);
  ShuffleOptions options;
  options.timeout = Seconds(0.4);
  {
    const auto world =
        test::ruled_world("nccl", 4, {.faults = {{.kind = kind, .rank = 2, .group = group}}});
    for (const RankOutcome& outcome : run_world(*world, work.job(), options)) {
      CHECK(outcome.failure.has_value());
      CHECK(outcome.faults.empty());
    }
  }
  CHECK(test::text_of_findings() == "");
}

TEST_CASE("a byte that a transport gets wrong is found with its rank and layer") {
  const test::Rearrangement work = test::random_rearrangement(32, 3, 12, 4, 4);
  const auto world = test::ruled_world(
      "nccl", 4, {.faults = {{.kind = rulebook::Fault::Kind::kCorrupt, .rank = 1, .group = 1}}});
  std::size_t found = 0;
  for (const RankOutcome& outcome : run_world(*world, work.job(), {})) {
    for (const SlotFault& fault : outcome.faults) {
      CHECK(fault.rank == RankId(1));
      ++found;
    }
  }
  CHECK(found > 0);
}

}  // namespace
}  // namespace moeshift
