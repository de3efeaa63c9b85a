// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/rendezvous.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kGreeting = 0x4d534846;  // refuses strangers who connect by mistake

struct Greeting {
  std::uint32_t magic = kGreeting;
  std::uint32_t rank = 0;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

[[noreturn]] void refuse(const std::string& rendezvous) {
  throw InputError("--rendezvous",
                   "expected fds:N,..., unix:@name or tcp:host:port, found '" + rendezvous + "'");
}

SocketAddress unix_address(const std::string& name) {
  SocketAddress address;
  sockaddr_un unix_name{};
  unix_name.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof unix_name.sun_path) refuse(name);
  std::memcpy(unix_name.sun_path + 1, name.data(), name.size());  // leading 0: abstract
  std::memcpy(&address.storage, &unix_name, sizeof unix_name);
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

SocketAddress tcp_address(const std::string& host, const std::string& port, bool listens) {
  addrinfo hints{};
  hints.ai_family = listens ? AF_INET : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = listens ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  const char* node = listens || host.empty() ? nullptr : host.c_str();
  const int error = getaddrinfo(node, port.c_str(), &hints, &found);
  if (error != 0) {
    throw DeviceError(fmt::format("cannot find {}:{}: {}", host, port, gai_strerror(error)));
  }
  SocketAddress address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.length = found->ai_addrlen;
  freeaddrinfo(found);
  return address;
}

SocketAddress address_of(const std::string& rendezvous, bool listens) {
  if (rendezvous.starts_with("unix:@")) return unix_address(rendezvous.substr(6));
  const std::size_t colon = rendezvous.rfind(':');
  if (!rendezvous.starts_with("tcp:") || colon < 4) refuse(rendezvous);
  return tcp_address(rendezvous.substr(4, colon - 4), rendezvous.substr(colon + 1), listens);
}

FileDescriptor socket_for(const SocketAddress& address) {
  FileDescriptor socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) throw DeviceError("cannot make a socket");
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.storage.ss_family != AF_UNIX) {
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  return socket;
}

int milliseconds_left(Deadline deadline) {
  return std::max(0, static_cast<int>(deadline.left().count() * 1e3));
}

/// The greeting of a peer that has just connected; nothing from a stranger.
std::optional<RankId> greeting_of(int socket, Deadline deadline) {
  pollfd event{socket, POLLIN, 0};
  const int patience = std::min(2000, milliseconds_left(deadline));
  if (poll(&event, 1, patience) <= 0) return std::nullopt;
  Greeting greeting{0, 0};
  if (recv(socket, &greeting, sizeof greeting, MSG_WAITALL) != sizeof greeting) return std::nullopt;
  if (greeting.magic != kGreeting) return std::nullopt;
  return RankId(greeting.rank);
}

std::vector<FileDescriptor> inherited(const std::string& list) {
  std::vector<FileDescriptor> sockets;
  const char* at = list.data();
  const char* end = list.data() + list.size();
  while (at < end) {
    int number = -1;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc{} || number < 0) refuse("fds:" + list);
    sockets.emplace_back(number);
    at = next < end ? next + 1 : next;
  }
  return sockets;
}

}  // namespace

Listener::Listener(const std::string& rendezvous) : rendezvous_(rendezvous) {
  const SocketAddress address = address_of(rendezvous, true);
  socket_ = socket_for(address);
  if (bind(socket_.get(), address.get(), address.length) != 0 || listen(socket_.get(), 128) != 0) {
    throw DeviceError(fmt::format("cannot listen on {}: {}", rendezvous, std::strerror(errno)));
  }
}

std::string Listener::address(const std::string& host) const {
  if (!rendezvous_.starts_with("tcp:")) return rendezvous_;
  sockaddr_in name{};
  socklen_t length = sizeof name;
  getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &length);
  return fmt::format("tcp:{}:{}", host, ntohs(name.sin_port));
}

std::vector<FileDescriptor> Listener::accept_all(std::size_t size, Deadline deadline) const {
  std::vector<FileDescriptor> sockets(size - 1);
  std::size_t missing = size - 1;
  while (missing > 0) {
    pollfd event{socket_.get(), POLLIN, 0};
    if (poll(&event, 1, milliseconds_left(deadline)) <= 0) {
      const auto absent = std::ranges::find_if(sockets, [](const auto& s) { return !s.is_open(); });
      throw DeviceError(fmt::format("rank {} did not come to {} within {:.3g} s ({} missing)",
                                    absent - sockets.begin() + 1, rendezvous_,
                                    deadline.allowance().count(), missing));
    }
    FileDescriptor peer(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer.is_open()) continue;
    const std::optional<RankId> rank = greeting_of(peer.get(), deadline);
    if (!rank || rank->index() == 0 || rank->index() >= size) continue;
    FileDescriptor& place = sockets[rank->index() - 1];
    if (place.is_open())
      throw DeviceError(fmt::format("two processes say they are rank {}", rank->value()));
    place = std::move(peer);
    --missing;
  }
  return sockets;
}

FileDescriptor connect_to_leader(const std::string& rendezvous, RankId self, Deadline deadline) {
  const SocketAddress address = address_of(rendezvous, false);
  while (true) {
    FileDescriptor socket = socket_for(address);
    if (connect(socket.get(), address.get(), address.length) == 0) {
      const Greeting greeting{kGreeting, self.value()};
      if (send(socket.get(), &greeting, sizeof greeting, MSG_NOSIGNAL) == sizeof greeting) {
        return socket;
      }
    }
    if (deadline.expired()) {
      throw DeviceError(fmt::format("rank {}: rank 0 is not at {} after {:.3g} s", self.value(),
                                    rendezvous, deadline.allowance().count()));
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
}

std::unique_ptr<ControlPlane> open_process_control(const ProcessPlace& place, Deadline deadline) {
  std::vector<FileDescriptor> sockets;
  if (place.rendezvous.starts_with("fds:")) {
    sockets = inherited(place.rendezvous.substr(4));
    const std::size_t expected = place.rank == RankId(0) ? place.world - 1 : 1;
    if (place.world > 1 && sockets.size() != expected) refuse(place.rendezvous);
  } else if (place.world == 1) {
    return std::make_unique<SocketControl>(place.rank, 1, std::move(sockets));
  } else if (place.rank == RankId(0)) {
    sockets = Listener(place.rendezvous).accept_all(place.world, deadline);
  } else {
    sockets.push_back(connect_to_leader(place.rendezvous, place.rank, deadline));
  }
  return std::make_unique<SocketControl>(place.rank, place.world, std::move(sockets));
}

}  // namespace moeshift
