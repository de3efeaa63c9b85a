// SPDX-License-Identifier: Apache-2.0
// What the rule-enforcing library shows of our transports beside their contract (tests/contract):
// faults that no driver makes on demand, and what only one vendor has.
#include "moeshift/core/error.hpp"

#include "ruled_worlds.hpp"
#include "tests/support/all_to_all.hpp"
#include "tests/support/worlds.hpp"

namespace moeshift {
namespace {

using test::for_each_rank;
using test::kPatience;

TEST_CASE("HCCL connects all pairs in one round where it is asked to") {
  {
    const auto world = test::ruled_world("hccl", 4, {}, "", {{"one-round", ""}});
    REQUIRE(test::wrong_slots_of_all_to_all(*world, Bytes(1024), 2) == 0);
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
