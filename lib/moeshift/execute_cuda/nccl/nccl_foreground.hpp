// SPDX-License-Identifier: Apache-2.0
// A model's own all-to-all beside the shuffle, on a communicator of its own: the case in which
// other implementations deadlock.
#pragma once

#include <memory>
#include <vector>

#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute/foreground.hpp"
#include "moeshift/execute_cuda/nccl/nccl_transport.hpp"
#include "moeshift/execute_cuda/runtime/handles.hpp"

namespace moeshift {

class NcclForeground final : public Foreground {
 public:
  /// Collective: every rank exchanges `bytes` with every other one per step.
  NcclForeground(const DeviceRuntime& runtime, std::unique_ptr<NcclCommunicator> communicator,
                 RankId self, Bytes bytes, Deadline deadline);

  [[nodiscard]] std::unique_ptr<Pending> start_step() override;
  [[nodiscard]] ModelStream stream() const override {
    return transport_.all_issued() ? transport_.stream() : nullptr;
  }
  [[nodiscard]] Seconds last_step() const override { return last_; }

 private:
  class Step;

  DeviceBuffer memory_;
  std::vector<Message> messages_;
  NcclTransport transport_;
  Seconds last_;
};

}  // namespace moeshift
