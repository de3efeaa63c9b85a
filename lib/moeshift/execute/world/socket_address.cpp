// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/socket_address.hpp"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kUnix = "unix:@";
constexpr std::string_view kTcp = "tcp:";

[[noreturn]] void refuse(const std::string& rendezvous) {
  throw InputError("rendezvous",
                   "expected fds:N,..., unix:@name or tcp:host:port (tcp:[::1]:port for IPv6), "
                   "found '" +
                       rendezvous + "'");
}

SocketAddress unix_address(const std::string& rendezvous) {
  const std::string name = rendezvous.substr(kUnix.size());
  SocketAddress address;
  sockaddr_un unix_name{};
  unix_name.sun_family = AF_UNIX;
  if (name.empty() || name.size() + 1 > sizeof unix_name.sun_path) refuse(rendezvous);
  std::memcpy(unix_name.sun_path + 1, name.data(), name.size());  // leading 0: abstract
  std::memcpy(&address.storage, &unix_name, sizeof unix_name);
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

std::vector<SocketAddress> tcp_addresses(const std::string& host, const std::string& port,
                                         bool listens) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = listens ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    throw DeviceError(fmt::format("cannot find {}:{}: {}", host, port, gai_strerror(error)));
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.length = one->ai_addrlen;
  }
  freeaddrinfo(found);
  return addresses;
}

bool is_port(const std::string& text) {
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == std::string::npos && std::stoi(text) < 65536;
}

}  // namespace

bool is_tcp(const std::string& rendezvous) {
  return rendezvous.starts_with(kTcp);
}

std::vector<SocketAddress> addresses_of(const std::string& rendezvous, bool listens) {
  if (rendezvous.starts_with(kUnix)) return {unix_address(rendezvous)};
  const std::size_t colon = rendezvous.rfind(':');
  if (!is_tcp(rendezvous) || colon < kTcp.size()) refuse(rendezvous);
  std::string host = rendezvous.substr(kTcp.size(), colon - kTcp.size());
  const std::string port = rendezvous.substr(colon + 1);
  const bool bracketed = host.size() > 1 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!is_port(port) || (!bracketed && host.find(':') != std::string::npos)) refuse(rendezvous);
  return tcp_addresses(host, port, listens);
}

FileDescriptor socket_for(const SocketAddress& address) {
  const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  FileDescriptor socket(::socket(address.storage.ss_family, type, 0));
  if (!socket.is_open()) {
    throw DeviceError(std::string("cannot make a socket: ") + std::strerror(errno));
  }
  if (address.is_unix()) return socket;
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  return socket;
}

bool is_of_our_user(int unix_socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(unix_socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == geteuid();
}

}  // namespace moeshift
