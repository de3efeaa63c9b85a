// SPDX-License-Identifier: Apache-2.0
// How the processes of a world find each other for the control plane, and keep strangers out.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute/file_descriptor.hpp"
#include "moeshift/execute/world/handshake.hpp"
#include "moeshift/execute/world/socket_control.hpp"

namespace moeshift {

/// Asked while waiting: the user wants to stop. May be empty.
using Stop = std::function<bool()>;

/// Opens this process's end of the control plane.
///
/// `place.rendezvous` is one of
/// - "fds:7,9": sockets that our launcher left open (rank 0: one per other rank, else one);
/// - "unix:@name": an abstract Unix socket; both ends must be of one user;
/// - "tcp:host:port": rank 0 listens there and nowhere else, the others keep trying until the
///   deadline; all must know the same `place.token`.
/// @throws InputError for any other text and for tcp without a token, DeviceError when somebody
///         does not come in time, InterruptedError.
[[nodiscard]] std::unique_ptr<ControlPlane> open_process_control(const ProcessPlace& place,
                                                                 Deadline deadline,
                                                                 const Stop& stop = {});

/// Where others can meet rank 0, before anybody has.
///
/// Whoever comes is given a few seconds for a few bytes; many may come at once, and none of them
/// keeps the ranks from being met.
class Listener {
 public:
  /// On the address of `rendezvous`; "tcp:host:0" takes any free port, "tcp::0" on every interface.
  /// @throws InputError, DeviceError when the address cannot be had.
  explicit Listener(const std::string& rendezvous);

  /// The address to tell the others; `host` replaces the one that was asked for.
  [[nodiscard]] std::string address(const std::string& host) const;
  /// Waits for ranks 1 .. secret.world-1; strangers are turned away.
  /// @return one socket per rank, rank 1 first.
  /// @throws DeviceError at the deadline, naming who is missing; InterruptedError.
  [[nodiscard]] std::vector<FileDescriptor> accept_all(const Secret& secret, Deadline deadline,
                                                       const Stop& stop = {}) const;

 private:
  std::string rendezvous_;
  FileDescriptor socket_;
};

/// Connects to rank 0, and each proves to the other that it knows the token.
/// @throws InputError, DeviceError at the deadline or when rank 0 refuses us; InterruptedError.
[[nodiscard]] FileDescriptor connect_to_leader(const std::string& rendezvous, const Secret& secret,
                                               RankId self, Deadline deadline,
                                               const Stop& stop = {});

}  // namespace moeshift
