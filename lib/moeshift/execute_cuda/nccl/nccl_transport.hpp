// SPDX-License-Identifier: Apache-2.0
// Transport over grouped ncclSend/ncclRecv on one high-priority stream.
//
// One exchange is one group, bounded so that NCCL never has to cut it into several kernels, which
// it does by each rank's own queue and which deadlocks when two ranks cut differently (what hangs
// other implementations; NVIDIA/Megatron-LM#7189).
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "moeshift/execute/transport.hpp"
#include "moeshift/execute_cuda/memory/accelerator_memory.hpp"
#include "moeshift/execute_cuda/memory/first_contact.hpp"
#include "moeshift/execute_cuda/nccl/nccl_communicator.hpp"

namespace moeshift {

/// What suits grouped sends and receives: few messages, of which the next is gathered while one is
/// on the wire.
[[nodiscard]] TransportTraits nccl_traits(std::size_t messages_per_pair);
/// Collective: the fewest messages per pair and group that any rank's log allows
/// (messages_per_group), so that groups are cut alike everywhere.
[[nodiscard]] std::size_t common_messages_per_group(ControlPlane& control, const std::string& log,
                                                    Deadline deadline);

class NcclTransport final : public Transport {
 public:
  /// With `registered`, connect() registers every block of that memory (from ncclMemAlloc), so that
  /// peers copy without NCCL's own buffers; may be null.
  NcclTransport(const DeviceRuntime& runtime, std::unique_ptr<NcclCommunicator> communicator,
                const AcceleratorMemory* registered, TransportTraits traits);
  ~NcclTransport() override;

  [[nodiscard]] TransportTraits traits() const override { return traits_; }
  void connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
               Deadline deadline) override;
  [[nodiscard]] std::unique_ptr<Pending> exchange(std::span<const Message> messages) override;
  void abort() noexcept override;
  void close(Deadline deadline) override;
  [[nodiscard]] std::size_t ranks() const { return communicator_->ranks(); }
  [[nodiscard]] DeviceStream stream() const { return stream_.get(); }
  /// Every exchange that was started is on the stream.
  [[nodiscard]] bool all_issued() const { return waiting_.empty(); }

 private:
  /// A group on its way: waiting for its turn, being issued, on the stream, done.
  struct Group {
    std::vector<Message> messages;
    Event begin;  ///< recorded before the group is put on the stream
    Event done;   ///< and once it is there
    bool issued = false;
  };
  class PendingGroup;

  /// Issues the groups in order; the next one only when NCCL has taken the one before.
  void advance();
  void issue(const Group& group);

  const DeviceRuntime& runtime_;
  std::unique_ptr<NcclCommunicator> communicator_;
  const AcceleratorMemory* registered_;
  TransportTraits traits_;
  Stream stream_;
  std::vector<void*> registrations_;
  FirstContact warm_up_;  ///< kept: freeing it could wait for a kernel that waits for a peer
  std::deque<std::shared_ptr<Group>> waiting_;  ///< the first one may be under way
  bool issuing_ = false;                        ///< the first one is
};

}  // namespace moeshift
