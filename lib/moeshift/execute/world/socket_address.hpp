// SPDX-License-Identifier: Apache-2.0
// "unix:@name" and "tcp:host:port" as addresses of sockets.
#pragma once

#include <string>
#include <vector>

#include <sys/socket.h>

#include "moeshift/execute/file_descriptor.hpp"

namespace moeshift {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] bool is_unix() const { return storage.ss_family == AF_UNIX; }
};

[[nodiscard]] bool is_tcp(const std::string& rendezvous);

/// - "unix:@name": an abstract Unix socket, for the processes of one machine; leaves no file;
/// - "tcp:host:port", "tcp:[::1]:port": all addresses that the host has, IPv4 and IPv6; an empty
///   host is every interface when `listens`, this machine else.
/// @throws InputError for any other text, DeviceError when the host is not known.
[[nodiscard]] std::vector<SocketAddress> addresses_of(const std::string& rendezvous, bool listens);

/// A socket that never blocks.
/// @throws DeviceError.
[[nodiscard]] FileDescriptor socket_for(const SocketAddress& address);

/// Whether the process at the other end is of our user.
[[nodiscard]] bool is_of_our_user(int unix_socket);

}  // namespace moeshift
