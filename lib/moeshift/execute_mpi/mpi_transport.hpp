// SPDX-License-Identifier: Apache-2.0
// Messages as nonblocking MPI point to point on a communicator of their own.
#pragma once

#include <mpi.h>

#include "moeshift/execute/transport.hpp"

namespace moeshift {

/// MPI keeps the order of messages between two ranks on one communicator and tag, which is the
/// first-in first-out matching that the engine wants. Longer messages than MPI's int can count go
/// in pieces of 1 GiB.
class MpiTransport final : public Transport {
 public:
  /// @param closed set once every rank came to the end, so that MPI may be finalized.
  MpiTransport(MPI_Comm communicator, bool& closed)
      : communicator_(communicator), closed_(closed) {}

  /// Below this a message costs more than it carries, and gathering pays.
  [[nodiscard]] TransportTraits traits() const override { return {.pack_below = Bytes(256 << 10)}; }
  void connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
               Deadline deadline) override;
  [[nodiscard]] std::unique_ptr<Pending> exchange(std::span<const Message> messages) override;
  /// MPI cannot take back a send: requests are forgotten, and the process ends without finalizing.
  void abort() noexcept override { aborted_ = true; }
  void close(Deadline) override { closed_ = true; }

 private:
  MPI_Comm communicator_;
  bool& closed_;
  bool aborted_ = false;
};

}  // namespace moeshift
