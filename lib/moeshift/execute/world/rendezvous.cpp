// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/rendezvous.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <list>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/execute/world/socket_address.hpp"

namespace moeshift {
namespace {

/// Ctrl-C and the deadline are looked at so often.
constexpr Seconds kGlance{0.1};
/// What a newcomer has for the few bytes of his answer.
constexpr Seconds kNewcomerPatience{5.0};
/// Newcomers at once; beyond, the oldest has to go (and, if it was a rank, comes again).
constexpr std::size_t kMostNewcomers = 256;
/// Rank 0 hangs up on a rank only for its proof; a few times, since it does also when overrun.
constexpr int kMostRefusals = 3;

void check_stop(const Stop& stop) {
  if (stop && stop()) throw InterruptedError();
}

/// Until the next glance, or the deadline.
int glance(Deadline deadline) {
  const double seconds = std::clamp(deadline.left().count(), 0.0, kGlance.count());
  return static_cast<int>(seconds * 1e3) + 1;
}

/// Somebody who has connected and not proved who he is.
struct Newcomer {
  Newcomer(FileDescriptor from, const Secret& secret) : socket(std::move(from)), hello(secret) {}

  FileDescriptor socket;
  ChallengeOfLeader hello;
  Deadline until = Deadline::in(kNewcomerPatience);
  bool gone = false;
};

/// Small enough for the buffer of any new socket.
bool send_all(int socket, std::string_view bytes) {
  return send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

/// Rank 0 while the others come.
class Reception {
 public:
  Reception(int listener, const std::string& rendezvous, const Secret& secret)
      : listener_(listener),
        unix_(!is_tcp(rendezvous)),
        secret_(secret),
        ranks_(secret.world - 1),
        missing_(secret.world - 1) {}

  [[nodiscard]] bool complete() const { return missing_ == 0; }
  [[nodiscard]] std::size_t missing() const { return missing_; }
  [[nodiscard]] std::vector<FileDescriptor> take() { return std::move(ranks_); }
  [[nodiscard]] std::size_t first_missing() const {
    const auto absent = std::ranges::find_if(ranks_, [](const auto& s) { return !s.is_open(); });
    return static_cast<std::size_t>(absent - ranks_.begin()) + 1;
  }

  void wait(int milliseconds) {
    std::vector<pollfd> events = {{listener_, POLLIN, 0}};
    for (const Newcomer& newcomer : newcomers_) {
      events.push_back({newcomer.socket.get(), POLLIN, 0});
    }
    if (poll(events.data(), events.size(), milliseconds) > 0) {
      std::size_t next = 1;
      for (Newcomer& newcomer : newcomers_) {
        if (events[next++].revents != 0) hear(newcomer);
      }
      if (events[0].revents != 0) welcome();
    }
    std::erase_if(newcomers_, [](const Newcomer& n) { return n.gone || n.until.expired(); });
  }

 private:
  void welcome() {
    for (std::size_t i = 0; i < kMostNewcomers; ++i) {
      FileDescriptor socket(accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket.is_open()) return;
      if (unix_ && !is_of_our_user(socket.get())) continue;
      Newcomer& newcomer = newcomers_.emplace_back(std::move(socket), secret_);
      newcomer.gone = !send_all(newcomer.socket.get(), newcomer.hello.challenge());
      if (newcomers_.size() > kMostNewcomers) newcomers_.pop_front();
    }
  }

  void hear(Newcomer& newcomer) {
    std::array<char, 256> buffer{};
    const std::size_t wanted = std::min(newcomer.hello.missing(), buffer.size());
    const ssize_t count = recv(newcomer.socket.get(), buffer.data(), wanted, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    newcomer.gone = count <= 0;
    if (newcomer.gone) return;
    newcomer.hello.add({buffer.data(), static_cast<std::size_t>(count)});
    if (newcomer.hello.missing() > 0) return;
    newcomer.gone = true;
    if (const auto rank = newcomer.hello.rank()) admit(newcomer, *rank);
  }

  void admit(Newcomer& newcomer, RankId rank) {
    FileDescriptor& place = ranks_[rank.index() - 1];
    if (place.is_open()) {
      throw DeviceError(fmt::format("two processes say they are rank {}", rank.value()));
    }
    if (!send_all(newcomer.socket.get(), newcomer.hello.proof())) return;
    place = std::move(newcomer.socket);
    --missing_;
  }

  int listener_;
  bool unix_;
  const Secret& secret_;
  std::list<Newcomer> newcomers_;
  std::vector<FileDescriptor> ranks_;
  std::size_t missing_;
};

/// A rank on its way to rank 0: one connection, every byte of it with a deadline.
class Attempt {
 public:
  enum class End { kNobody, kRefused, kMet };

  Attempt(const SocketAddress& address, Deadline deadline, const Stop& stop)
      : socket_(socket_for(address)),
        deadline_(Deadline::in(std::min(deadline.left(), kNewcomerPatience * 2.0))),
        stop_(stop),
        address_(address) {}

  [[nodiscard]] End run(AnswerOfRank answer) {
    if (!connected()) return End::kNobody;
    if (address_.is_unix() && !is_of_our_user(socket_.get())) return End::kNobody;
    const auto challenge = receive(AnswerOfRank::kChallengeBytes);
    const auto reply = challenge ? answer.answer(*challenge) : std::nullopt;
    if (!reply || !send_all(socket_.get(), *reply)) return End::kNobody;
    const auto proof = receive(AnswerOfRank::kProofBytes);
    if (!proof) return hung_up_ ? End::kRefused : End::kNobody;
    return answer.is_proof(*proof) ? End::kMet : End::kRefused;
  }
  [[nodiscard]] FileDescriptor take() { return std::move(socket_); }

 private:
  [[nodiscard]] bool ready(short wanted) const {
    while (!deadline_.expired()) {
      check_stop(stop_);
      pollfd event{socket_.get(), wanted, 0};
      if (poll(&event, 1, glance(deadline_)) > 0) return true;
    }
    return false;
  }

  [[nodiscard]] bool connected() const {
    if (connect(socket_.get(), address_.get(), address_.length) == 0) return true;
    if (errno != EINPROGRESS || !ready(POLLOUT)) return false;
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
  }

  [[nodiscard]] std::optional<std::string> receive(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t got = 0; got < bytes;) {
      if (!ready(POLLIN)) return std::nullopt;
      const ssize_t count = recv(socket_.get(), text.data() + got, bytes - got, 0);
      hung_up_ = count == 0 || (count < 0 && errno == ECONNRESET);
      if (hung_up_ || (count < 0 && errno != EAGAIN && errno != EINTR)) return std::nullopt;
      if (count > 0) got += static_cast<std::size_t>(count);
    }
    return text;
  }

  FileDescriptor socket_;
  Deadline deadline_;
  const Stop& stop_;
  const SocketAddress& address_;
  bool hung_up_ = false;
};

std::vector<FileDescriptor> inherited(const std::string& list, std::size_t expected) {
  std::vector<FileDescriptor> sockets;
  const char* at = list.data();
  const char* end = list.data() + list.size();
  while (at < end) {
    int number = -1;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc{} || number < 0) break;
    sockets.emplace_back(number);
    at = next < end ? next + 1 : next;
  }
  if (at == end && sockets.size() == expected) return sockets;
  throw InputError("rendezvous", "expected fds: and " + std::to_string(expected) +
                                     " numbers of open sockets, found '" + list + "'");
}

}  // namespace

Listener::Listener(const std::string& rendezvous) : rendezvous_(rendezvous) {
  std::vector<SocketAddress> addresses = addresses_of(rendezvous, true);
  // Every interface is IPv6's, which takes IPv4 as well.
  if (rendezvous.starts_with("tcp::")) {
    std::ranges::stable_partition(addresses, [](const SocketAddress& address) {
      return address.storage.ss_family == AF_INET6;
    });
  }
  for (const SocketAddress& address : addresses) {
    socket_ = socket_for(address);
    const int off = 0;
    if (address.storage.ss_family == AF_INET6) {
      setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    const bool bound = bind(socket_.get(), address.get(), address.length) == 0;
    if (bound && listen(socket_.get(), 1024) == 0) return;
  }
  throw DeviceError(fmt::format("cannot listen on {}: {}", rendezvous, std::strerror(errno)));
}

std::string Listener::address(const std::string& host) const {
  if (!is_tcp(rendezvous_)) return rendezvous_;
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &length);
  const std::uint16_t port = name.ss_family == AF_INET6
                                 ? reinterpret_cast<const sockaddr_in6*>(&name)->sin6_port
                                 : reinterpret_cast<const sockaddr_in*>(&name)->sin_port;
  const bool colons = host.find(':') != std::string::npos && !host.starts_with('[');
  return fmt::format("tcp:{}{}{}:{}", colons ? "[" : "", host, colons ? "]" : "", ntohs(port));
}

std::vector<FileDescriptor> Listener::accept_all(const Secret& secret, Deadline deadline,
                                                 const Stop& stop) const {
  Reception reception(socket_.get(), rendezvous_, secret);
  while (!reception.complete()) {
    check_stop(stop);
    if (deadline.expired()) {
      throw DeviceError(fmt::format("rank {} did not come to {} within {:.3g} s ({} missing)",
                                    reception.first_missing(), rendezvous_,
                                    deadline.allowance().count(), reception.missing()));
    }
    reception.wait(glance(deadline));
  }
  return reception.take();
}

FileDescriptor connect_to_leader(const std::string& rendezvous, const Secret& secret, RankId self,
                                 Deadline deadline, const Stop& stop) {
  const std::vector<SocketAddress> addresses = addresses_of(rendezvous, false);
  int refusals = 0;
  for (std::size_t turn = 0;; ++turn) {
    check_stop(stop);
    Attempt attempt(addresses[turn % addresses.size()], deadline, stop);
    const Attempt::End end = attempt.run(AnswerOfRank(secret, self));
    if (end == Attempt::End::kMet) return attempt.take();
    refusals += end == Attempt::End::kRefused ? 1 : 0;
    if (refusals == kMostRefusals) {
      throw DeviceError(
          fmt::format("rank {}: rank 0 at {} refuses it: not the same MOESHIFT_TOKEN, or not the "
                      "same number of ranks",
                      self.value(), rendezvous));
    }
    if (deadline.expired()) {
      throw DeviceError(fmt::format("rank {}: rank 0 is not at {} after {:.3g} s", self.value(),
                                    rendezvous, deadline.allowance().count()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

std::unique_ptr<ControlPlane> open_process_control(const ProcessPlace& place, Deadline deadline,
                                                   const Stop& stop) {
  std::vector<FileDescriptor> sockets;
  const bool leads = place.rank == RankId(0);
  const Secret secret{.token = place.token, .world = place.world};
  if (place.rendezvous.starts_with("fds:")) {
    sockets = inherited(place.rendezvous.substr(4), leads ? place.world - 1 : 1);
  } else if (place.world > 1 && is_tcp(place.rendezvous) && place.token.empty()) {
    throw InputError("MOESHIFT_TOKEN",
                     "anybody can come to " + place.rendezvous +
                         ": set it to one secret word in the environment of every rank");
  } else if (place.world > 1 && leads) {
    sockets = Listener(place.rendezvous).accept_all(secret, deadline, stop);
  } else if (place.world > 1) {
    sockets.push_back(connect_to_leader(place.rendezvous, secret, place.rank, deadline, stop));
  }
  return std::make_unique<SocketControl>(place.rank, place.world, std::move(sockets));
}

}  // namespace moeshift
