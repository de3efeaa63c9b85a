// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>

#include "moeshift/core/error.hpp"

#include "gpu_support.hpp"

namespace moeshift {
namespace {

using test::finish;
using test::peers_of;

constexpr Bytes kSlot(std::int64_t{256} << 10U);

/// Several exchanges under way at once; what arrived is verified on the device.
void all_to_all(const char* backend, const WorldRequest& options, std::size_t rounds) {
  const std::unique_ptr<World> world = find_backend(backend).open(options);
  REQUIRE(test::wrong_slots_of_all_to_all(*world, kSlot, rounds) == 0);
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
