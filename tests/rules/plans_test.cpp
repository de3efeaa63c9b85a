// SPDX-License-Identifier: Apache-2.0
// Random plans of ours and of the peers' orders on every device transport, under random delays: no
// rule is broken, and every byte arrives.
#include <array>

#include "moeshift/schedule/peer_schedules.hpp"

#include "ruled_worlds.hpp"
#include "tests/support/any_rearrangement.hpp"

namespace moeshift {
namespace {

constexpr std::array kTransports = {"nccl", "peer", "ce", "auto", "rccl", "hccl"};
constexpr std::array kPeers = {PeerSchedule::kVllm, PeerSchedule::kVllmBatched,
                               PeerSchedule::kSglang, PeerSchedule::kAscend};

test::Rearrangement our_work(Rng& rng) {
  const ScheduleOptions schedule = test::any_schedule(rng);
  return test::any_rearrangement(rng, schedule);
}

/// A message per tensor, in the batches of another engine.
test::Rearrangement work_of_peer(PeerSchedule peer, Rng& rng) {
  test::Rearrangement work = test::any_rearrangement(rng);
  const Bytes up(16 + rng.below(2000));
  const Bytes scale(1 + rng.below(64));
  work.layout =
      SlotLayout{.tensors = {{"up", Bytes(0), up}, {"scale", up, scale}}, .slot_bytes = up + scale};
  const std::size_t nodes = 1 + rng.below(static_cast<std::uint32_t>(work.plan.ranks));
  work.plan = make_peer_plan(peer, work.old, work.next, Topology(work.plan.ranks, nodes),
                             work.layout.sizes(), 2, Threads{1});
  return work;
}

void require_ruled_shuffle(const std::string& backend, std::uint64_t seed,
                           std::optional<PeerSchedule> peer = {}) {
  INFO(backend << ", seed " << seed);
  Rng rng = Rng::stream(17232, seed);
  const test::Rearrangement work = peer ? work_of_peer(*peer, rng) : our_work(rng);
  ShuffleOptions options =
      test::any_options(rng, test::all_alike(work.plan.sizes, work.plan.layers.size()));
  rulebook::Options rules;
  rules.seed = seed;
  rules.delay = rng.below(40);
  test::VoteWatch watch(work.plan.ranks);
  options.observers = {&watch};
  {
    const auto world = test::ruled_world(backend, work.plan.ranks, rules);
    const std::vector<RankOutcome> outcomes = run_world(*world, work.job(), options);
    REQUIRE(outcomes.size() == work.plan.ranks);
    REQUIRE(watch.early() == 0);
    for (const RankOutcome& outcome : outcomes) {
      INFO((outcome.failure ? outcome.failure->message() : ""));
      REQUIRE_FALSE(outcome.failure);
      REQUIRE(outcome.faults.empty());
    }
  }
  REQUIRE(test::text_of_findings() == "");
}

void require_ruled_shuffles(const std::string& backend, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t seed = first; seed < last; ++seed) require_ruled_shuffle(backend, seed);
}

TEST_CASE("400 plans of any shape break no rule on nccl") {
  require_ruled_shuffles("nccl", 0, 400);
}

TEST_CASE("200 plans of any shape break no rule on peer") {
  require_ruled_shuffles("peer", 400, 600);
}

TEST_CASE("200 plans of any shape break no rule on ce") {
  require_ruled_shuffles("ce", 600, 800);
}

TEST_CASE("100 plans of any shape break no rule on auto") {
  require_ruled_shuffles("auto", 800, 900);
}

TEST_CASE("100 plans of any shape break no rule on rccl") {
  require_ruled_shuffles("rccl", 900, 1000);
}

TEST_CASE("200 plans of any shape break no rule on hccl") {
  require_ruled_shuffles("hccl", 1000, 1200);
}

/// In the order of each peer, on each transport.
void require_ruled_peers(std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t seed = first; seed < last; ++seed) {
    require_ruled_shuffle(kTransports[seed % kTransports.size()], seed,
                          kPeers[seed / kTransports.size() % kPeers.size()]);
  }
}

TEST_CASE("240 plans in the orders of vLLM, SGLang and Ascend break no rule on any transport") {
  require_ruled_peers(2000, 2240);
}

// Hidden: asked for by name, once in a while; a minute each.
TEST_CASE("ten thousand plans of any shape break no rule", "[.]") {
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    require_ruled_shuffle(kTransports[seed % kTransports.size()], 10'000 + seed);
  }
}

TEST_CASE("ten thousand plans in the peers' orders break no rule", "[.]") {
  require_ruled_peers(20'000, 30'000);
}

}  // namespace
}  // namespace moeshift
