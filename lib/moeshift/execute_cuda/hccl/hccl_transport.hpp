// SPDX-License-Identifier: Apache-2.0
// Transport over HcclBatchSendRecv: an exchange is one call on one stream, with at most one message
// per peer and direction.
//
// HCCL has no abort. Who unwinds with an exchange under way waits for it a moment; if it does not
// end, neither the memory nor the communicator can be freed, and the process has to end
// (HcclEnd::stuck).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/transport.hpp"
#include "moeshift/execute_cuda/hccl/hccl_library.hpp"
#include "moeshift/execute_cuda/memory/accelerator_memory.hpp"
#include "moeshift/execute_cuda/memory/first_contact.hpp"

namespace moeshift {

/// How connections are made before the first exchange.
enum class HcclConnect : std::uint8_t {
  kPairs,     ///< by messages of some bytes, as exchanges are
  kOneRound,  ///< by one HcclAlltoAllVC of what every rank sends to every other one
};

/// What becomes of a rank whose exchange cannot be stopped.
using StuckRank = std::function<void(const std::string& why)>;
/// Says so on standard error and ends the process with code 3, as a device that failed; the
/// launcher reports the rank.
void end_process_of_stuck_rank(const std::string& why);

class HcclTransport final : public Transport {
 public:
  /// Collective. HCCL's own start blocks: it runs beside this thread until the deadline.
  /// @throws DeviceError when the peers do not come in time.
  HcclTransport(const DeviceRuntime& runtime, const HcclLibrary& library, DeviceId device,
                ControlPlane& control, HcclConnect connect, StuckRank stuck, Deadline deadline);
  ~HcclTransport() override;

  [[nodiscard]] TransportTraits traits() const override;
  void connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
               Deadline deadline) override;
  [[nodiscard]] std::unique_ptr<Pending> exchange(std::span<const Message> messages) override;
  /// Waits for own exchanges, at most a second.
  void abort() noexcept override;
  void close(Deadline deadline) override;

 private:
  class PendingCall;

  [[nodiscard]] std::unique_ptr<Pending> connect_pairs(std::span<const RankId> send_to,
                                                       std::span<const RankId> receive_from);
  [[nodiscard]] std::unique_ptr<Pending> connect_in_one_round(std::span<const RankId> send_to,
                                                              Deadline deadline);
  /// Puts `call` on the stream between two events.
  [[nodiscard]] std::unique_ptr<Pending> enqueue(const std::function<int()>& call,
                                                 const char* name);
  /// @throws DeviceError when the communicator is in error.
  void check_communicator() const;
  [[nodiscard]] bool ends_within(Seconds limit) noexcept;

  const DeviceRuntime& runtime_;
  const HcclLibrary& library_;
  ControlPlane& control_;
  HcclConnect connect_;
  StuckRank stuck_;
  HcclCommunicatorHandle communicator_ = nullptr;
  Stream stream_;
  FirstContact warm_up_;         ///< kept: freeing it could wait for a call that waits for a peer
  std::shared_ptr<Event> last_;  ///< of the newest call; null: none yet
};

}  // namespace moeshift
