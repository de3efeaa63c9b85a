// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/drill/drilled_world.hpp"

#include <algorithm>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/drill/drill_state.hpp"
#include "moeshift/execute/forwarding_memory.hpp"

namespace moeshift {
namespace {

/// Nothing was to be done.
class Done final : public Pending {
 public:
  bool poll() override { return true; }
};

/// A vote that is never cast.
class Unheard final : public Gathering {
 public:
  bool poll() override { return false; }
  const std::vector<std::string>& values() const override { return values_; }

 private:
  std::vector<std::string> values_;
};

class DrilledTransport final : public Transport {
 public:
  DrilledTransport(std::unique_ptr<Transport> inner, std::shared_ptr<DrillState> state)
      : inner_(std::move(inner)), state_(std::move(state)) {}

  TransportTraits traits() const override { return inner_->traits(); }
  void connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
               Deadline deadline) override {
    inner_->connect(send_to, receive_from, deadline);
  }
  /// Losing drops what this rank should send from some unit on: a channel that is first in first
  /// out has no holes.
  std::unique_ptr<Pending> exchange(std::span<const Message> messages) override {
    std::vector<Message> kept(messages.begin(), messages.end());
    if (state_->muted()) {
      std::erase_if(kept, [](const Message& m) { return m.direction == Direction::kSend; });
    }
    std::unique_ptr<Pending> work;
    if (!kept.empty()) work = inner_->exchange(kept);
    state_->strike(Phase::kStaging);
    return work ? std::move(work) : std::make_unique<Done>();
  }
  void abort() noexcept override { inner_->abort(); }
  void close(Deadline deadline) override { inner_->close(deadline); }

 private:
  std::unique_ptr<Transport> inner_;
  std::shared_ptr<DrillState> state_;
};

class DrilledControl final : public ControlPlane {
 public:
  DrilledControl(std::unique_ptr<ControlPlane> inner, std::shared_ptr<DrillState> state)
      : inner_(std::move(inner)), state_(std::move(state)) {}

  RankId self() const override { return inner_->self(); }
  std::size_t size() const override { return inner_->size(); }
  std::unique_ptr<Gathering> all_gather(std::string_view mine) override {
    state_->strike(Phase::kStaging);  // a unit of local copies only has no exchange to fail at
    if (const auto vote = state_->take_vote()) {
      state_->strike(Phase::kStaged);
      if (state_->interrupted()) return std::make_unique<Unheard>();
      return inner_->all_gather(std::to_string(*vote));
    }
    constexpr std::string_view kPlan = "plan ";
    if (state_->has(FaultDrill::Kind::kHash) && mine.starts_with(kPlan)) {
      const std::size_t end = std::min(mine.find(' ', kPlan.size()), mine.size());
      return inner_->all_gather(std::string(kPlan) + "0" + std::string(mine.substr(end)));
    }
    return inner_->all_gather(mine);
  }
  void fail(const Failure& failure) noexcept override { inner_->fail(failure); }
  std::optional<Failure> failure() const override {
    if (!state_->interrupted()) return inner_->failure();
    Failure stop{.rank = self(), .reason = "interrupted"};
    stop.interrupted = true;
    return stop;
  }
  void close() noexcept override { inner_->close(); }

 private:
  std::unique_ptr<ControlPlane> inner_;
  std::shared_ptr<DrillState> state_;
};

class DrilledMemory final : public ForwardingMemory {
 public:
  DrilledMemory(std::unique_ptr<DeviceMemory> inner, std::shared_ptr<DrillState> state)
      : ForwardingMemory(std::move(inner)), state_(std::move(state)) {}

  std::optional<Bytes> available() const override {
    return state_->has(FaultDrill::Kind::kMemory) ? Bytes(0) : inner().available();
  }
  std::unique_ptr<Pending> copy(std::span<const CopyRequest> copies, CopyLane lane) override {
    auto work = inner().copy(copies, lane);
    if (lane != CopyLane::kStage) state_->strike(Phase::kVoted);
    return work;
  }
  std::unique_ptr<Pending> point(std::byte* table, std::span<const PointerChange> changes,
                                 ModelStream stream) override {
    auto work = inner().point(table, changes, stream);
    state_->strike(Phase::kVoted);
    return work;
  }

 private:
  std::shared_ptr<DrillState> state_;
};

}  // namespace

Member DrilledWorld::join(RankId rank, Deadline deadline) {
  Member member = world_->join(rank, deadline);
  std::vector<FaultDrill> mine;
  std::ranges::copy_if(drills_, std::back_inserter(mine),
                       [&](const FaultDrill& drill) { return drill.rank == rank; });
  if (mine.empty()) return member;
  const auto state = std::make_shared<DrillState>(mine);
  state->attach(*member.control, *member.memory);
  member.control = std::make_unique<DrilledControl>(std::move(member.control), state);
  member.memory = std::make_unique<DrilledMemory>(std::move(member.memory), state);
  member.transport = std::make_unique<DrilledTransport>(std::move(member.transport), state);
  member.observers.push_back(state);
  return member;
}

}  // namespace moeshift
