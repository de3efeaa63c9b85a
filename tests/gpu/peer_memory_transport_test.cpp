// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>

#include "moeshift/core/error.hpp"

#include "gpu_support.hpp"

namespace moeshift {
namespace {

using test::finish;

constexpr Bytes kSlot(std::int64_t{256} << 10U);

std::vector<RankId> peers_of(RankId self, std::size_t ranks) {
  std::vector<RankId> peers;
  for (const RankId rank : all_ids<RankId>(ranks)) {
    if (rank != self) peers.push_back(rank);
  }
  return peers;
}

/// Every rank sends its slot to every other rank, `rounds` exchanges under way at once; what
/// arrived is verified on the device.
void all_to_all(const char* backend, const WorldRequest& options, std::size_t rounds) {
  const std::unique_ptr<World> world = find_backend(backend).open(options);
  const SlotLayout layout = single_tensor_layout(kSlot);
  std::atomic<std::size_t> wrong = 0;
  test::for_each_rank(*world, [&](RankId self, Member& member) {
    const std::size_t ranks = world->size();
    const auto slot = [&](std::byte* start, std::size_t i) {
      return start + static_cast<std::int64_t>(i) * kSlot.count();
    };
    std::byte* const out = member.memory->allocate(kSlot * static_cast<std::int64_t>(rounds));
    std::byte* const in =
        member.memory->allocate(kSlot * static_cast<std::int64_t>(rounds * ranks));
    std::vector<PatternTask> sent;
    std::vector<PatternTask> expected;
    for (std::size_t round = 0; round < rounds; ++round) {
      sent.push_back({slot(out, round), {1, LayerId(round), ExpertId(self.value())}});
      for (const RankId peer : peers_of(self, ranks)) {
        expected.push_back(
            {slot(in, round * ranks + peer.index()), {1, LayerId(round), ExpertId(peer.value())}});
      }
    }
    finish(*member.memory->fill(sent, layout));
    const std::vector<RankId> peers = peers_of(self, ranks);
    member.transport->connect(peers, peers, Deadline::in(Seconds(20.0)));
    std::vector<std::unique_ptr<Pending>> pending;
    for (std::size_t round = 0; round < rounds; ++round) {
      std::vector<Message> messages;
      for (const RankId peer : peers) {
        messages.push_back({peer, Direction::kSend, slot(out, round), kSlot});
        messages.push_back(
            {peer, Direction::kReceive, slot(in, round * ranks + peer.index()), kSlot});
      }
      pending.push_back(member.transport->exchange(messages));
    }
    for (const auto& exchange : pending) finish(*exchange);
    const auto verification = member.memory->verify(expected, layout);
    finish(*verification);
    wrong += verification->mismatches().size();
    member.transport->close(Deadline::in(Seconds(20.0)));
  });
  REQUIRE(wrong == 0);
}

bool fails_when_the_peer_aborts(const char* backend, Direction direction) {
  const std::unique_ptr<World> world = find_backend(backend).open(test::ranks(2));
  std::atomic<bool> failed = false;
  test::for_each_rank(*world, [&](RankId self, Member& member) {
    std::byte* const slot = member.memory->allocate(kSlot);
    const std::vector<RankId> peers = peers_of(self, 2);
    member.transport->connect(peers, peers, Deadline::in(Seconds(20.0)));
    if (self == RankId(1)) {
      member.transport->abort();
      return;
    }
    try {
      finish(*member.transport->exchange(
          std::vector<Message>{{peers.front(), direction, slot, kSlot}}));
    } catch (const DeviceError&) {
      failed = true;
    }
  });
  return failed;
}

constexpr std::array kBackends = {"ce", "peer"};

TEST_CASE("ranks on one GPU exchange every byte straight between their memories", "[gpu]") {
  test::require_gpu();
  for (const char* backend : kBackends) all_to_all(backend, test::ranks(4), 3);
}

TEST_CASE("more exchanges than the mailbox has places are all carried out", "[gpu]") {
  test::require_gpu();
  for (const char* backend : kBackends) all_to_all(backend, test::ranks(2), 600);
}

TEST_CASE("a rank that aborts makes its peers fail and not wait", "[gpu]") {
  test::require_gpu();
  for (const char* backend : kBackends) {
    for (const Direction direction : {Direction::kReceive, Direction::kSend}) {
      REQUIRE(fails_when_the_peer_aborts(backend, direction));
    }
  }
}

TEST_CASE("a transport names the settings that it does not know", "[ce]") {
  for (const char* backend : kBackends) {
    WorldRequest options = test::ranks(2);
    options.settings = {{"rank-per-gpu", "2"}};
    REQUIRE_THROWS_AS(find_backend(backend).open(options), InputError);
    options.settings = {{"ranks-per-gpu", "-1"}};
    REQUIRE_THROWS_AS(find_backend(backend).open(options), InputError);
  }
}

}  // namespace
}  // namespace moeshift
