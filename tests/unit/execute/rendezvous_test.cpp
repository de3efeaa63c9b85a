// SPDX-License-Identifier: Apache-2.0
// Ranks that meet, and everybody else who comes along.
#include "moeshift/execute/world/rendezvous.hpp"

#include <array>
#include <thread>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/execute/world/socket_address.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

const Deadline kSoon = Deadline::in(Seconds(60.0));
const std::string kToken = "a word that nobody knows";

Secret secret(std::size_t world, const std::string& token = kToken) {
  return {.token = token, .world = world};
}

std::string unix_name(const char* what) {
  return "unix:@moeshift-test-" + std::string(what) + "-" + std::to_string(getpid());
}

/// Somebody who connects.
FileDescriptor stranger(const std::string& address) {
  const SocketAddress to = addresses_of(address, false).front();
  FileDescriptor socket = socket_for(to);
  static_cast<void>(connect(socket.get(), to.get(), to.length));
  pollfd event{socket.get(), POLLOUT, 0};
  static_cast<void>(poll(&event, 1, 1000));
  return socket;
}

std::string heard(int socket, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t got = 0;
  while (got < bytes) {
    pollfd event{socket, POLLIN, 0};
    if (poll(&event, 1, 5000) <= 0) break;
    const ssize_t count = recv(socket, text.data() + got, bytes - got, 0);
    if (count <= 0) break;
    got += static_cast<std::size_t>(count);
  }
  text.resize(got);
  return text;
}

/// Rank 0 waits while `others` do as they like; then ranks 1 and 2 come.
template <class Others>
void meet_despite(const std::string& where, Others others) {
  const Listener listener(where);
  const std::string meeting = listener.address("127.0.0.1");
  std::vector<FileDescriptor> met;
  std::jthread leader([&] { met = listener.accept_all(secret(3), kSoon); });
  const auto kept = others(meeting);  // what they hold open stays open
  const FileDescriptor one = connect_to_leader(meeting, secret(3), RankId(1), kSoon);
  const FileDescriptor two = connect_to_leader(meeting, secret(3), RankId(2), kSoon);
  leader.join();
  REQUIRE(met.size() == 2);
  REQUIRE(send(one.get(), "1", 1, 0) == 1);
  REQUIRE(send(two.get(), "2", 1, 0) == 1);
  CHECK(heard(met[0].get(), 1) == "1");
  CHECK(heard(met[1].get(), 1) == "2");
}

std::vector<FileDescriptor> nobody(const std::string&) {
  return {};
}

}  // namespace

TEST_CASE("ranks meet by name or port, over IPv4 and IPv6") {
  meet_despite(unix_name("meet"), nobody);
  meet_despite("tcp:127.0.0.1:0", nobody);
  const Listener six("tcp:[::1]:0");
  const std::string meeting = six.address("::1");
  CHECK(meeting.starts_with("tcp:[::1]:"));
  FileDescriptor rank;
  std::jthread peer([&] { rank = connect_to_leader(meeting, secret(2), RankId(1), kSoon); });
  CHECK(six.accept_all(secret(2), kSoon).size() == 1);
}

TEST_CASE("silent, slow and noisy strangers keep no rank from meeting rank 0") {
  meet_despite("tcp:127.0.0.1:0", [](const std::string& meeting) {
    std::vector<FileDescriptor> kept;
    for (int i = 0; i < 40; ++i) kept.push_back(stranger(meeting));  // say nothing
    kept.push_back(stranger(meeting));
    static_cast<void>(send(kept.back().get(), "x", 1, MSG_NOSIGNAL));  // one byte, no more
    for (int i = 0; i < 5; ++i) {
      kept.push_back(stranger(meeting));
      const std::string garbage(100'000, static_cast<char>('a' + i));
      static_cast<void>(send(kept.back().get(), garbage.data(), garbage.size(), MSG_NOSIGNAL));
    }
    for (int i = 0; i < 20; ++i) stranger(meeting).reset();  // a scan of the port
    return kept;
  });
}

TEST_CASE("a wrong token is refused on both sides and the right ranks still meet") {
  meet_despite("tcp:127.0.0.1:0", [](const std::string& meeting) {
    const auto come = [&](const Secret& wrong) {
      return connect_to_leader(meeting, wrong, RankId(1), kSoon);
    };
    CHECK_THROWS_AS(come(secret(3, "another word")), DeviceError);
    CHECK_THROWS_AS(come(secret(3, "")), DeviceError);
    CHECK_THROWS_AS(come(secret(4)), DeviceError);  // of another world
    CHECK_THROWS_AS(connect_to_leader(meeting, secret(3), RankId(3), kSoon), DeviceError);
    CHECK_THROWS_AS(connect_to_leader(meeting, secret(3), RankId(0), kSoon), DeviceError);
    return nobody(meeting);
  });
}

TEST_CASE("an answer that was overheard is good for nothing") {
  const Secret ours = secret(3);
  ChallengeOfLeader first(ours);
  AnswerOfRank rank(ours, RankId(1));
  const std::string overheard = rank.answer(first.challenge()).value();
  first.add(overheard);
  CHECK(first.rank() == RankId(1));
  CHECK(rank.is_proof(first.proof()));
  ChallengeOfLeader second(ours);
  second.add(overheard);
  CHECK_FALSE(second.rank());
  meet_despite("tcp:127.0.0.1:0", [&](const std::string& meeting) {
    std::vector<FileDescriptor> kept;
    kept.push_back(stranger(meeting));
    REQUIRE(heard(kept.back().get(), AnswerOfRank::kChallengeBytes).size() ==
            AnswerOfRank::kChallengeBytes);
    static_cast<void>(send(kept.back().get(), overheard.data(), overheard.size(), MSG_NOSIGNAL));
    CHECK(heard(kept.back().get(), 1).empty());  // hung up
    return kept;
  });
}

TEST_CASE("a rank does not follow somebody who only says that he is rank 0") {
  const std::string where = unix_name("false");
  const SocketAddress address = addresses_of(where, true).front();
  const FileDescriptor impostor = socket_for(address);
  REQUIRE(bind(impostor.get(), address.get(), address.length) == 0);
  REQUIRE(listen(impostor.get(), 8) == 0);
  std::jthread answering([&](const std::stop_token& stop) {
    const Secret guess = secret(2, "a guess");
    while (!stop.stop_requested()) {
      pollfd event{impostor.get(), POLLIN, 0};
      if (poll(&event, 1, 20) <= 0) continue;
      const FileDescriptor peer(accept(impostor.get(), nullptr, nullptr));
      const ChallengeOfLeader hello(guess);
      const std::string text = hello.challenge();
      static_cast<void>(send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL));
      static_cast<void>(heard(peer.get(), hello.missing()));
      const std::string proof(AnswerOfRank::kProofBytes, 'p');
      static_cast<void>(send(peer.get(), proof.data(), proof.size(), MSG_NOSIGNAL));
    }
  });
  CHECK_THROWS_AS(connect_to_leader(where, secret(2), RankId(1), kSoon), DeviceError);
}

TEST_CASE("rank 0 listens where it was told and nowhere else") {
  const Listener listener("tcp:127.0.0.1:0");
  const std::string elsewhere = listener.address("127.0.0.2");
  const FileDescriptor socket = stranger(elsewhere);
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  CHECK(error == ECONNREFUSED);
}

TEST_CASE("who is missing is named at the deadline, however far away that is") {
  const Listener alone("tcp:127.0.0.1:0");
  CHECK_THROWS_AS(alone.accept_all(secret(3), Deadline::in(Seconds(0.05))), DeviceError);
  // Beyond what fits into milliseconds of an int, too.
  const Seconds ages(1e7);
  FileDescriptor rank;
  std::jthread peer([&] {
    rank = connect_to_leader(alone.address("127.0.0.1"), secret(2), RankId(1), Deadline::in(ages));
  });
  CHECK(alone.accept_all(secret(2), Deadline::in(ages)).size() == 1);
}

TEST_CASE("Ctrl-C ends the wait for ranks and for rank 0") {
  const Stop stop = [] { return true; };
  const Listener alone("tcp:127.0.0.1:0");
  CHECK_THROWS_AS(alone.accept_all(secret(3), kSoon, stop), InterruptedError);
  CHECK_THROWS_AS(connect_to_leader(unix_name("nobody"), secret(2), RankId(1), kSoon, stop),
                  InterruptedError);
}

TEST_CASE("a rendezvous by tcp without a token is refused, and so is what is no rendezvous") {
  ProcessPlace place{
      .rank = RankId(0), .world = 2, .rendezvous = "tcp:127.0.0.1:0", .started_by = "test"};
  CHECK_THROWS_AS(open_process_control(place, kSoon), InputError);
  for (const char* bad : {"carrier pigeon", "tcp:", "tcp:host", "tcp:host:port", "tcp:::1:80",
                          "tcp:host:99999", "unix:@", "unix:/path"}) {
    INFO(bad);
    CHECK_THROWS_AS(Listener(bad), InputError);
  }
}
