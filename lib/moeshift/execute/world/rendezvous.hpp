// SPDX-License-Identifier: Apache-2.0
// How the processes of a world find each other for the control plane.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute/file_descriptor.hpp"
#include "moeshift/execute/world/socket_control.hpp"

namespace moeshift {

/// Opens this process's end of the control plane.
///
/// `place.rendezvous` is one of
/// - "fds:7,9": sockets that our launcher left open (rank 0: one per other rank, else one);
/// - "unix:@name": an abstract Unix socket, for the processes of one machine; leaves no file;
/// - "tcp:host:port": rank 0 listens there, the others keep trying until the deadline.
/// @throws InputError for any other text, DeviceError when somebody does not come in time.
[[nodiscard]] std::unique_ptr<ControlPlane> open_process_control(const ProcessPlace& place,
                                                                 Deadline deadline);

/// Where others can meet rank 0, before anybody has.
class Listener {
 public:
  /// On the address of `rendezvous`; "tcp::0" takes any free port.
  /// @throws InputError, DeviceError when the address cannot be had.
  explicit Listener(const std::string& rendezvous);

  /// The address to tell the others; `host` replaces an empty one.
  [[nodiscard]] std::string address(const std::string& host) const;
  /// Waits for ranks 1 .. size-1.
  [[nodiscard]] std::vector<FileDescriptor> accept_all(std::size_t size, Deadline deadline) const;

 private:
  std::string rendezvous_;
  FileDescriptor socket_;
};

/// Connects to rank 0 and says who we are.
/// @throws InputError, DeviceError at the deadline.
[[nodiscard]] FileDescriptor connect_to_leader(const std::string& rendezvous, RankId self,
                                               Deadline deadline);

}  // namespace moeshift
