// SPDX-License-Identifier: Apache-2.0
// A non-blocking NCCL communicator of our own, never the model's, that cannot hang its caller.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nccl.h>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute_cuda/handles.hpp"

namespace moeshift {

/// Aborts when dropped: a rank that unwinds must not wait for its peers.
using Comm = Owned<ncclComm_t, ncclCommAbort>;

struct NcclOptions {
  std::string name = "moeshift";             ///< shown in NCCL's logs and profilers
  std::optional<std::size_t> max_ctas = {};  ///< SMs that NCCL may occupy; absent = NCCL's choice
};

/// All calls of one rank come from one thread. Every wait has a deadline: NCCL has none itself.
class NcclCommunicator {
 public:
  /// Collective over `ranks` ranks that share `id`; the current device is the rank's.
  /// @throws DeviceError when NCCL refuses or the peers do not come in time.
  NcclCommunicator(const ncclUniqueId& id, RankId self, std::size_t ranks,
                   const NcclOptions& options, Deadline deadline);

  [[nodiscard]] ncclComm_t get() const { return communicator_.get(); }
  [[nodiscard]] std::size_t ranks() const { return ranks_; }

  /// True when everything issued so far is on its stream; until then the stream says nothing.
  /// @throws DeviceError when a peer or the network failed.
  [[nodiscard]] bool issued() const;

  /// Polls until issued().
  /// @throws DeviceError on failure and at the deadline.
  void wait_until_issued(Deadline deadline, std::string_view doing) const;

  /// Stops running kernels and frees everything; every rank must do it, none waits for another.
  /// A communicator that does not come back within `limit` is left to the end of the process.
  void abort(Seconds limit = Seconds(10.0)) noexcept;

  /// The good end: flush, agree with every peer, free.
  void close(Deadline deadline);

 private:
  Comm communicator_;
  std::size_t ranks_;
};

/// Collective over the ranks of `control`: rank 0 makes an id, the others hear it.
/// @throws DeviceError as the constructor does.
[[nodiscard]] std::unique_ptr<NcclCommunicator> join_communicator(ControlPlane& control,
                                                                  const NcclOptions& options,
                                                                  Deadline deadline);

/// The version of the header that we were built with, "2.28.9".
[[nodiscard]] std::string nccl_header_version();
/// The version of the library that runs.
[[nodiscard]] std::string nccl_library_version();
/// That version as NCCL numbers it, 22809.
[[nodiscard]] int nccl_library_code();

}  // namespace moeshift
