// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/hccl/hccl_transport.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/world/gather.hpp"

namespace moeshift {
namespace {

constexpr int kExitOfFailedDevice = 3;
constexpr Seconds kGrace{1.0};
/// Gathered like NCCL's: a call has one message per pair.
constexpr Bytes kPackBelow(std::int64_t{64} << 20U);
constexpr Bytes kGatherFirst(std::int64_t{96} << 20U);

struct Joined {
  int result = 0;
  HcclCommunicatorHandle communicator = nullptr;
};

/// On a thread of its own, which stays behind if HCCL does not return: it has no way to be stopped.
Joined join(const DeviceRuntime& runtime, const HcclLibrary& library, DeviceId device,
            const ControlPlane& control, const HcclRoot& root, Deadline deadline) {
  auto promise = std::make_shared<std::promise<Joined>>();
  std::future<Joined> future = promise->get_future();
  const auto ranks = static_cast<std::uint32_t>(control.size());
  const std::uint32_t self = control.self().value();
  std::thread([&runtime, &library, device, ranks, self, root, promise] {
    Joined joined;
    try {
      runtime.bind(device);
      joined.result = library.calls().init(ranks, &root, self, &joined.communicator);
    } catch (const DeviceError&) {
      promise->set_exception(std::current_exception());
      return;
    }
    promise->set_value(joined);
  }).detach();
  while (future.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    if (const auto failure = control.failure()) throw ShuffleFailure(*failure);
    if (deadline.expired()) {
      throw DeviceError(fmt::format("HCCL: no answer within {:.1f} s while joining the peers",
                                    deadline.allowance().count()));
    }
  }
  return future.get();
}

}  // namespace

void end_process_of_stuck_rank(const std::string& why) {
  std::fprintf(stderr, "moeshift: %s\n", why.c_str());
  std::_Exit(kExitOfFailedDevice);
}

class HcclTransport::PendingCall final : public Pending {
 public:
  PendingCall(const HcclTransport& transport, std::shared_ptr<Event> begin,
              std::shared_ptr<Event> end)
      : transport_(transport), begin_(std::move(begin)), end_(std::move(end)) {}

  [[nodiscard]] bool poll() override {
    transport_.check_communicator();
    return transport_.runtime_.passed(end_->get());
  }
  [[nodiscard]] std::optional<Seconds> device_time() const override {
    return transport_.runtime_.elapsed(begin_->get(), end_->get());
  }

 private:
  const HcclTransport& transport_;
  std::shared_ptr<Event> begin_;
  std::shared_ptr<Event> end_;
};

HcclTransport::HcclTransport(const DeviceRuntime& runtime, const HcclLibrary& library,
                             DeviceId device, ControlPlane& control, HcclConnect connect,
                             StuckRank stuck, Deadline deadline)
    : runtime_(runtime),
      library_(library),
      control_(control),
      connect_(connect),
      stuck_(std::move(stuck)),
      stream_(make_stream(runtime, /*high_priority=*/true)) {
  HcclRoot root{};
  std::string text;
  if (control.self() == RankId(0)) {
    library.check(library.calls().root_info(&root), "HcclGetRootInfo");
    text.assign(root.internal, sizeof root.internal);
  }
  text = gather(control, text, deadline).front();
  MOESHIFT_CHECK(text.size() == sizeof root.internal);
  std::memcpy(root.internal, text.data(), text.size());
  const Joined joined = join(runtime, library, device, control, root, deadline);
  library.check(joined.result, "HcclCommInitRootInfo");
  communicator_ = joined.communicator;
}

HcclTransport::~HcclTransport() {
  HcclTransport::abort();
}

TransportTraits HcclTransport::traits() const {
  return {.pack_below = kPackBelow, .gather_first = kGatherFirst, .messages_per_pair = 1};
}

void HcclTransport::check_communicator() const {
  if (communicator_ == nullptr) throw DeviceError("HCCL: the communicator has ended");
  int error = kHcclSuccess;
  library_.check(library_.calls().async_error(communicator_, &error), "HcclGetCommAsyncError");
  library_.check(error, "an earlier call");
}

void HcclTransport::connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
                            Deadline deadline) {
  const std::unique_ptr<Pending> pending = connect_ == HcclConnect::kOneRound
                                               ? connect_in_one_round(send_to, deadline)
                                               : connect_pairs(send_to, receive_from);
  while (!pending->poll()) {
    if (deadline.expired()) {
      throw DeviceError("HCCL: a peer could not be reached within the deadline");
    }
    std::this_thread::yield();
  }
}

std::unique_ptr<Pending> HcclTransport::connect_pairs(std::span<const RankId> send_to,
                                                      std::span<const RankId> receive_from) {
  warm_up_ = first_contact(runtime_, send_to, receive_from);
  return exchange(warm_up_.messages);
}

/// Each rank tells whom it sends to, "1,4,5,"; the matrix is the same everywhere.
std::unique_ptr<Pending> HcclTransport::connect_in_one_round(std::span<const RankId> send_to,
                                                             Deadline deadline) {
  const std::size_t ranks = control_.size();
  std::string mine(ranks, '0');
  for (const RankId peer : send_to) mine[peer.index()] = '1';
  const std::vector<std::string> all = gather(control_, mine, deadline);
  std::vector<std::uint64_t> matrix(ranks * ranks, 0);
  for (std::size_t from = 0; from < ranks; ++from) {
    for (std::size_t to = 0; to < ranks; ++to) {
      if (all[from].at(to) == '1') {
        matrix[from * ranks + to] = static_cast<std::uint64_t>(kFirstContact.count());
      }
    }
  }
  const Bytes half = kFirstContact * static_cast<std::int64_t>(ranks);
  warm_up_.memory = allocate_device(runtime_, half * 2);
  auto* const out = static_cast<std::byte*>(warm_up_.memory.get());
  return enqueue(
      [&] {
        return library_.calls().all_to_all(out, matrix.data(), kHcclInt8, out + half.count(),
                                           kHcclInt8, communicator_, stream_.get());
      },
      "HcclAlltoAllVC");
}

std::unique_ptr<Pending> HcclTransport::exchange(std::span<const Message> messages) {
  std::vector<HcclItem> items;
  items.reserve(messages.size());
  for (const Message& message : messages) {
    items.push_back({.kind = message.direction == Direction::kSend ? 0 : 1,
                     .start = message.pointer,
                     .count = static_cast<std::uint64_t>(message.bytes.count()),
                     .type = kHcclInt8,
                     .peer = message.peer.value()});
  }
  return enqueue(
      [&] {
        if (items.empty()) return kHcclSuccess;
        return library_.calls().batch_send_receive(
            items.data(), static_cast<std::uint32_t>(items.size()), communicator_, stream_.get());
      },
      "HcclBatchSendRecv");
}

std::unique_ptr<Pending> HcclTransport::enqueue(const std::function<int()>& call,
                                                const char* name) {
  check_communicator();
  auto begin = std::make_shared<Event>(make_timing_event(runtime_));
  auto end = std::make_shared<Event>(make_timing_event(runtime_));
  runtime_.record(begin->get(), stream_.get());
  library_.check(call(), name);
  runtime_.record(end->get(), stream_.get());
  last_ = end;
  return std::make_unique<PendingCall>(*this, std::move(begin), std::move(end));
}

bool HcclTransport::ends_within(Seconds limit) noexcept {
  if (!last_) return true;
  const Deadline deadline = Deadline::in(limit);
  try {
    while (!runtime_.passed(last_->get())) {
      if (deadline.expired()) return false;
      std::this_thread::yield();
    }
  } catch (const DeviceError&) {
    // Nothing runs on a stream that has failed.
  }
  return true;
}

void HcclTransport::abort() noexcept {
  if (communicator_ == nullptr) return;
  HcclCommunicatorHandle const communicator = std::exchange(communicator_, nullptr);
  if (ends_within(kGrace)) {
    (void)library_.calls().destroy(communicator);
    return;
  }
  stuck_(
      fmt::format("rank {}: an exchange waits for a peer and HCCL cannot abort it: this process "
                  "ends",
                  control_.self().value()));
}

void HcclTransport::close(Deadline deadline) {
  if (communicator_ == nullptr) return;
  // Who destroys first must not leave a peer in an exchange.
  (void)gather(control_, "", deadline);
  HcclCommunicatorHandle const communicator = std::exchange(communicator_, nullptr);
  library_.check(library_.calls().destroy(communicator), "HcclCommDestroy");
}

}  // namespace moeshift
