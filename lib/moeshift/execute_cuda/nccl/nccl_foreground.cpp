// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl/nccl_foreground.hpp"

#include <utility>

namespace moeshift {

/// Timed by the host's clock: NCCL puts a group on the stream some time after the call.
class NcclForeground::Step final : public Pending {
 public:
  Step(NcclForeground& load, std::unique_ptr<Pending> exchange)
      : load_(load), exchange_(std::move(exchange)) {}

  [[nodiscard]] bool poll() override {
    if (done_) return true;
    if (!exchange_->poll()) return false;
    load_.last_ = since(begin_);
    return done_ = true;
  }

 private:
  NcclForeground& load_;
  std::unique_ptr<Pending> exchange_;
  SteadyClock::time_point begin_ = SteadyClock::now();
  bool done_ = false;
};

NcclForeground::NcclForeground(const DeviceRuntime& runtime,
                               std::unique_ptr<NcclCommunicator> communicator, RankId self,
                               Bytes bytes, Deadline deadline)
    : memory_(
          allocate_device(runtime, bytes * static_cast<std::int64_t>(2 * communicator->ranks()))),
      transport_(runtime, std::move(communicator), nullptr, {}) {
  auto* next = static_cast<std::byte*>(memory_.get());
  std::vector<RankId> peers;
  for (const RankId rank : all_ids<RankId>(transport_.ranks())) {
    if (rank == self) continue;
    peers.push_back(rank);
    messages_.push_back({rank, Direction::kSend, next, bytes});
    messages_.push_back({rank, Direction::kReceive, next + bytes.count(), bytes});
    next += 2 * bytes.count();
  }
  transport_.connect(peers, peers, deadline);
}

std::unique_ptr<Pending> NcclForeground::start_step() {
  return std::make_unique<Step>(*this, transport_.exchange(messages_));
}

}  // namespace moeshift
