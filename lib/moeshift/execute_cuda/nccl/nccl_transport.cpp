// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/nccl/nccl_transport.hpp"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/nccl/nccl_log.hpp"
#include "moeshift/execute_cuda/world/gather.hpp"

namespace moeshift {
namespace {

/// Messages below this are gathered: a group has few messages per pair, and between two groups the
/// wires are idle. Gathering runs at memory speed, beside the exchange before.
constexpr Bytes kPackBelow(std::int64_t{64} << 20U);
/// Gathered in less than a tenth of a millisecond, sent in three.
constexpr Bytes kGatherFirst(std::int64_t{96} << 20U);

}  // namespace

TransportTraits nccl_traits(std::size_t messages_per_pair) {
  return {.pack_below = kPackBelow,
          .gather_first = kGatherFirst,
          .messages_per_pair = messages_per_pair};
}

std::size_t common_messages_per_group(ControlPlane& control, const std::string& log,
                                      Deadline deadline) {
  std::size_t fewest = messages_per_group(log);
  for (const std::string& text : gather(control, std::to_string(fewest), deadline)) {
    fewest = std::min<std::size_t>(fewest, std::stoul(text));
  }
  return fewest;
}

class NcclTransport::PendingGroup final : public Pending {
 public:
  PendingGroup(NcclTransport& transport, std::shared_ptr<Group> group)
      : transport_(transport), group_(std::move(group)) {}

  [[nodiscard]] bool poll() override {
    transport_.advance();
    return group_->issued && transport_.runtime_.passed(group_->done.get());
  }
  [[nodiscard]] std::optional<Seconds> device_time() const override {
    return transport_.runtime_.elapsed(group_->begin.get(), group_->done.get());
  }

 private:
  NcclTransport& transport_;
  std::shared_ptr<Group> group_;
};

NcclTransport::NcclTransport(const DeviceRuntime& runtime,
                             std::unique_ptr<NcclCommunicator> communicator,
                             const AcceleratorMemory* registered, TransportTraits traits)
    : runtime_(runtime),
      communicator_(std::move(communicator)),
      registered_(registered),
      traits_(traits),
      stream_(make_stream(runtime, /*high_priority=*/true)) {}

NcclTransport::~NcclTransport() {
  NcclTransport::abort();
}

void NcclTransport::connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
                            Deadline deadline) {
  if (registered_ != nullptr) {
    for (const DeviceBlock& block : registered_->blocks()) {
      communicator_->check(communicator_->library().calls().register_memory(
          communicator_->get(), block.start, static_cast<std::size_t>(block.bytes.count()),
          &registrations_.emplace_back()));
      communicator_->wait_until_issued(deadline, "registering memory");
    }
  }
  warm_up_ = first_contact(runtime_, send_to, receive_from);
  if (warm_up_.messages.empty()) return;
  const std::unique_ptr<Pending> warm_up = exchange(warm_up_.messages);
  while (!warm_up->poll()) {
    if (deadline.expired()) {
      abort();
      throw DeviceError("a peer could not be reached within the deadline");
    }
    std::this_thread::yield();
  }
}

std::unique_ptr<Pending> NcclTransport::exchange(std::span<const Message> messages) {
  auto group = std::make_shared<Group>();
  group->messages.assign(messages.begin(), messages.end());
  group->begin = make_timing_event(runtime_);
  group->done = make_timing_event(runtime_);
  waiting_.push_back(group);
  advance();
  return std::make_unique<PendingGroup>(*this, std::move(group));
}

void NcclTransport::advance() {
  if (!communicator_) throw DeviceError("the communicator was aborted");
  while (true) {
    if (!communicator_->issued()) return;
    if (issuing_) {
      Group& group = *waiting_.front();
      runtime_.record(group.done.get(), stream_.get());
      group.issued = true;
      issuing_ = false;
      waiting_.pop_front();
    }
    if (waiting_.empty()) return;
    issue(*waiting_.front());
    issuing_ = true;
  }
}

void NcclTransport::issue(const Group& group) {
  const CollectiveCalls& calls = communicator_->library().calls();
  CollectiveComm const communicator = communicator_->get();
  runtime_.record(group.begin.get(), stream_.get());
  communicator_->check(calls.group_start());
  for (const Message& message : group.messages) {
    const auto bytes = static_cast<std::size_t>(message.bytes.count());
    const int peer = static_cast<int>(message.peer.value());
    communicator_->check(message.direction == Direction::kSend
                             ? calls.send(message.pointer, bytes, kCollectiveBytes, peer,
                                          communicator, stream_.get())
                             : calls.receive(message.pointer, bytes, kCollectiveBytes, peer,
                                             communicator, stream_.get()));
  }
  communicator_->check(calls.group_end());
}

void NcclTransport::abort() noexcept {
  if (!communicator_) return;
  // Aborting frees the registrations too.
  registrations_.clear();
  communicator_->abort();
  communicator_.reset();
}

void NcclTransport::close(Deadline deadline) {
  if (!communicator_) return;
  for (void* registration : registrations_) {
    communicator_->check(
        communicator_->library().calls().deregister(communicator_->get(), registration));
  }
  registrations_.clear();
  communicator_->close(deadline);
  communicator_.reset();
}

}  // namespace moeshift
