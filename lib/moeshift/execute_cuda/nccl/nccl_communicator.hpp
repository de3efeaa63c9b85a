// SPDX-License-Identifier: Apache-2.0
// A non-blocking NCCL communicator of our own, never the model's, that cannot hang its caller.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute_cuda/nccl/collective_library.hpp"

namespace moeshift {

/// Aborts when dropped: a rank that unwinds must not wait for its peers.
struct CommCloser {
  using pointer = CollectiveComm;
  const CollectiveLibrary* library = nullptr;
  void operator()(CollectiveComm comm) const noexcept { (void)library->calls().abort(comm); }
};
using Comm = std::unique_ptr<void, CommCloser>;

struct NcclOptions {
  std::string name = "moeshift";             ///< shown in NCCL's logs and profilers
  std::optional<std::size_t> max_ctas = {};  ///< SMs that NCCL may occupy; absent = NCCL's choice
};

/// All calls of one rank come from one thread. Every wait has a deadline: NCCL has none itself.
class NcclCommunicator {
 public:
  /// Collective over `ranks` ranks that share `id`; the current device is the rank's.
  /// @throws DeviceError when NCCL refuses or the peers do not come in time.
  NcclCommunicator(const CollectiveLibrary& library, const CollectiveId& id, RankId self,
                   std::size_t ranks, const NcclOptions& options, Deadline deadline);

  [[nodiscard]] CollectiveComm get() const { return communicator_.get(); }
  [[nodiscard]] std::size_t ranks() const { return ranks_; }
  [[nodiscard]] const CollectiveLibrary& library() const { return library_; }
  /// CollectiveLibrary::check of a call on this communicator.
  void check(int result, std::source_location caller = std::source_location::current()) const {
    library_.check(result, get(), caller);
  }

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
  const CollectiveLibrary& library_;
  Comm communicator_;
  std::size_t ranks_;
};

/// Collective over the ranks of `control`: rank 0 makes an id, the others hear it.
/// @throws DeviceError as the constructor does.
[[nodiscard]] std::unique_ptr<NcclCommunicator> join_communicator(ControlPlane& control,
                                                                  const CollectiveLibrary& library,
                                                                  const NcclOptions& options,
                                                                  Deadline deadline);

}  // namespace moeshift
