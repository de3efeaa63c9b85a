// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <thread>

#include <sys/socket.h>

#include "moeshift/execute/world/socket_control.hpp"
#include "moeshift/execute/world/thread_hub.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

/// A world of control planes, one per rank, all in this process.
using Planes = std::vector<std::unique_ptr<ControlPlane>>;

Planes thread_planes(std::size_t ranks) {
  const auto hub = std::make_shared<ThreadHub>(ranks);
  Planes planes;
  for (const RankId rank : all_ids<RankId>(ranks)) {
    planes.push_back(std::make_unique<ThreadControl>(hub, rank));
  }
  return planes;
}

Planes socket_planes(std::size_t ranks) {
  std::vector<FileDescriptor> leader;
  std::vector<FileDescriptor> others;
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    std::array<int, 2> pair{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    leader.emplace_back(pair[0]);
    others.emplace_back(pair[1]);
  }
  Planes planes;
  planes.push_back(std::make_unique<SocketControl>(RankId(0), ranks, std::move(leader)));
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    std::vector<FileDescriptor> one;
    one.push_back(std::move(others[rank - 1]));
    planes.push_back(std::make_unique<SocketControl>(RankId(rank), ranks, std::move(one)));
  }
  return planes;
}

template <class Ready>
bool soon(Ready ready) {
  const Deadline deadline = Deadline::in(Seconds(20.0));
  while (!ready()) {
    if (deadline.expired()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void check_rounds(Planes& planes) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Gathering>> gatherings;
    std::vector<std::string> expected;
    for (std::size_t rank = 0; rank < planes.size(); ++rank) {
      expected.push_back(std::string(rank * 1000, 'x') + std::to_string(round));
      gatherings.push_back(planes[rank]->all_gather(expected.back()));
    }
    for (const auto& gathering : gatherings) {
      REQUIRE(soon([&] { return gathering->poll(); }));
      CHECK(gathering->values() == expected);
    }
  }
}

void check_failure_reaches_all(Planes& planes) {
  const Failure failure{RankId(1), LayerId(7), Phase::kStaging, "broken", false};
  planes[1]->fail(failure);
  for (const auto& plane : planes) {
    REQUIRE(soon([&] { return plane->failure().has_value(); }));
    CHECK(plane->failure()->message() == "rank 1, layer 7, staging: broken");
  }
}

}  // namespace

TEST_CASE("all ranks learn what every rank said in every round") {
  Planes threads = thread_planes(5);
  check_rounds(threads);
  Planes sockets = socket_planes(5);
  check_rounds(sockets);
}

TEST_CASE("a failure reaches every rank as it was said") {
  Planes threads = thread_planes(3);
  check_failure_reaches_all(threads);
  Planes sockets = socket_planes(3);
  check_failure_reaches_all(sockets);
}

TEST_CASE("a gathering names who has not spoken to everybody who asks") {
  for (Planes& planes : std::array{thread_planes(4), socket_planes(4)}) {
    std::vector<std::unique_ptr<Gathering>> gatherings;
    for (const std::size_t rank : {0U, 1U, 3U}) gatherings.push_back(planes[rank]->all_gather("x"));
    for (const auto& gathering : gatherings) {
      REQUIRE(soon([&] { return gathering->waiting_for() == std::vector<RankId>{RankId(2)}; }));
      CHECK_FALSE(gathering->poll());
    }
  }
}

TEST_CASE("a rank that hangs up without leave is a failure of that rank on all others") {
  Planes planes = socket_planes(4);
  planes[2].reset();
  for (const std::size_t rank : {0U, 1U, 3U}) {
    REQUIRE(soon([&] { return planes[rank]->failure().has_value(); }));
    CHECK(planes[rank]->failure()->rank == RankId(2));
  }
}

TEST_CASE("ranks that close in order are no failure") {
  Planes planes = socket_planes(4);
  for (const auto& plane : planes) plane->close();
  planes[2].reset();
  planes[0].reset();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK_FALSE(planes[1]->failure());
  CHECK_FALSE(planes[3]->failure());
}

TEST_CASE("a peer that speaks out of turn fails the run and harms nobody") {
  const std::vector<std::string> lies = {
      to_bytes(Frame{Frame::Kind::kResult, 0, to_bytes(std::vector<std::string>{})}),
      to_bytes(Frame{Frame::Kind::kResult, 7, to_bytes(std::vector<std::string>(2))}),
      to_bytes(Frame{Frame::Kind::kValue, 0, "early"}),
      to_bytes(Frame{Frame::Kind::kMissing, 0, to_bytes(std::vector<RankId>{RankId(900)})}),
      to_bytes(Frame{Frame::Kind::kFail, 0, "cut"}),
      std::string(4096, 'x')};
  for (const std::string& lie : lies) {
    std::array<int, 2> pair{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    std::vector<FileDescriptor> one;
    one.emplace_back(pair[0]);
    SocketControl rank(RankId(1), 2, std::move(one));
    const FileDescriptor leader(pair[1]);
    const auto gathering = rank.all_gather("mine");
    REQUIRE(send(leader.get(), lie.data(), lie.size(), MSG_NOSIGNAL) > 0);
    REQUIRE(soon([&] { return rank.failure().has_value(); }));
    CHECK(rank.failure()->rank == RankId(0));
    CHECK_FALSE(gathering->poll());
  }
}

TEST_CASE("rank 0 hears a rank once in a round, and none from a round to come") {
  for (const std::uint64_t number : {0U, 1U, 4000U}) {
    std::array<int, 2> pair{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    std::vector<FileDescriptor> one;
    one.emplace_back(pair[0]);
    SocketControl leader(RankId(0), 2, std::move(one));
    const FileDescriptor rank(pair[1]);
    const std::string first = to_bytes(Frame{Frame::Kind::kValue, 0, "first"});
    const std::string second = to_bytes(Frame{Frame::Kind::kValue, number, "second"});
    REQUIRE(send(rank.get(), first.data(), first.size(), MSG_NOSIGNAL) > 0);
    REQUIRE(send(rank.get(), second.data(), second.size(), MSG_NOSIGNAL) > 0);
    REQUIRE(soon([&] { return leader.failure().has_value(); }));
    CHECK(leader.failure()->rank == RankId(1));
  }
}

TEST_CASE("a stream that is no stream of frames is refused and never asks for much memory") {
  std::string garbage(64, '\xff');
  CHECK_THROWS_AS(take_frame(garbage), DeviceError);
  std::string half = to_bytes(Frame{Frame::Kind::kValue, 3, "payload"});
  half.pop_back();
  CHECK_FALSE(take_frame(half));
  half += 'd';
  CHECK(take_frame(half)->payload == "payload");
  CHECK_THROWS_AS(values_from("\x10", 1), DeviceError);
  CHECK_THROWS_AS(values_from(to_bytes(std::vector<std::string>{}), 3), DeviceError);
  CHECK_THROWS_AS(values_from(to_bytes(std::vector<std::string>(1000)), 3), DeviceError);
  CHECK_THROWS_AS(ranks_from(to_bytes(std::vector<RankId>{RankId(3)}), 3), DeviceError);
  Frame endless{Frame::Kind::kValue, 0, {}};
  std::string header = to_bytes(endless);
  header[7] = '\x10';  // a value of 256 MiB
  CHECK_THROWS_AS(take_frame(header), DeviceError);
  Failure odd{.rank = RankId(9), .phase = Phase::kStaging, .reason = "\x1b[31mred\n"};
  const Failure heard = failure_from(to_bytes(odd), RankId(1), 4);
  CHECK(heard.rank == RankId(1));
  CHECK(heard.reason == "\\x1b[31mred\\x0a");
  odd.phase = static_cast<Phase>(77);
  CHECK_THROWS_AS(failure_from(to_bytes(odd), RankId(1), 4), DeviceError);
}
