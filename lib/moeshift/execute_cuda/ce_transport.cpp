// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/ce_transport.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/cuda_check.hpp"
#include "moeshift/execute_cuda/gather.hpp"

namespace moeshift {
namespace {

/// Copies that may be under way; what is posted meanwhile starts together, in one call.
constexpr std::size_t kBatches = 2;

/// What a rank tells of itself: one of these, then one BlockNotice per block.
struct RankNotice {
  std::int64_t process = 0;
  std::int32_t device = 0;
};
struct BlockNotice {
  const std::byte* start = nullptr;
  cudaIpcMemHandle_t handle{};
};

template <class T>
void append(std::string& text, const T& value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <class T>
T take(std::string_view& text) {
  MOESHIFT_CHECK(text.size() >= sizeof(T));
  T value;
  std::memcpy(&value, text.data(), sizeof(T));
  text.remove_prefix(sizeof(T));
  return value;
}

std::string announcement_of(const CudaMemory& memory) {
  std::string text;
  append(text, RankNotice{.process = ::getpid(), .device = memory.device().ordinal});
  for (const DeviceBlock& block : memory.blocks()) {
    BlockNotice notice{.start = block.start};
    check(cudaIpcGetMemHandle(&notice.handle, block.start));
    append(text, notice);
  }
  return text;
}

void allow_access_to(DeviceId own, int peer) {
  if (own.ordinal == peer) return;
  int possible = 0;
  check(cudaDeviceCanAccessPeer(&possible, own.ordinal, peer));
  if (possible == 0) return;  // the driver then copies through the host
  const cudaError_t result = cudaDeviceEnablePeerAccess(peer, 0);
  if (result == cudaErrorPeerAccessAlreadyEnabled) {
    (void)cudaGetLastError();
    return;
  }
  check(result);
}

}  // namespace

/// One call of exchange(): finished when none of its messages is outstanding.
class CeTransport::PendingExchange final : public Pending {
 public:
  PendingExchange(CeTransport& transport, std::shared_ptr<Progress> progress)
      : transport_(transport), progress_(std::move(progress)) {}

  [[nodiscard]] bool poll() override {
    if (progress_->outstanding == 0) return true;
    transport_.advance();
    return progress_->outstanding == 0;
  }
  [[nodiscard]] std::vector<RankId> waiting_for() const override {
    return transport_.peers_of(*progress_);
  }
  [[nodiscard]] std::optional<Seconds> device_time() const override { return progress_->device; }

 private:
  CeTransport& transport_;
  std::shared_ptr<Progress> progress_;
};

CeTransport::CeTransport(ControlPlane& control, CudaMemory& memory,
                         const CudaMemoryOptions& options, Deadline deadline)
    : control_(control),
      memory_(memory),
      mailbox_(control, deadline),
      streams_(options.streams_per_lane, CopyPath::kCopyEngine, /*high_priority=*/false),
      peers_(std::vector<PeerBlocks>(control.size())),
      sent_(control.size(), 0),
      received_(control.size(), 0) {}

CeTransport::~CeTransport() {
  if (!closed_) CeTransport::abort();
}

void CeTransport::connect(std::span<const RankId> /*send_to*/, std::span<const RankId> receive_from,
                          Deadline deadline) {
  const std::vector<std::string> announcements =
      gather(control_, announcement_of(memory_), deadline);
  for (const RankId peer : receive_from) open_blocks(peer, announcements[peer.index()]);
}

void CeTransport::open_blocks(RankId peer, const std::string& announcement) {
  std::string_view rest = announcement;
  const auto notice = take<RankNotice>(rest);
  const bool same_process = notice.process == ::getpid();
  if (same_process) allow_access_to(memory_.device(), notice.device);
  PeerBlocks& blocks = peers_[peer];
  while (!rest.empty()) {
    const auto block = take<BlockNotice>(rest);
    if (same_process) {
      blocks.starts.push_back(block.start);
      continue;
    }
    void* start = nullptr;
    check(cudaIpcOpenMemHandle(&start, block.handle, cudaIpcMemLazyEnablePeerAccess));
    blocks.mappings.emplace_back(start);
    blocks.starts.push_back(static_cast<const std::byte*>(start));
  }
}

std::unique_ptr<Pending> CeTransport::exchange(std::span<const Message> messages) {
  auto progress = std::make_shared<Progress>();
  progress->outstanding = messages.size();
  for (const Message& message : messages) {
    if (message.direction == Direction::kSend) {
      to_post_.push_back({message, sent_[message.peer]++, progress});
    } else {
      to_copy_.push_back({message, received_[message.peer]++, progress});
    }
  }
  advance();
  return std::make_unique<PendingExchange>(*this, std::move(progress));
}

void CeTransport::advance() {
  if (mailbox_.aborted()) throw DeviceError("ce: a rank has aborted the exchange");
  post();
  finish_copies();
  if (copying_.size() < kBatches) start_copies();
  std::erase_if(to_collect_, [&](const Item& item) {
    if (!mailbox_.collect(item.message.peer, item.sequence)) return false;
    --item.progress->outstanding;
    return true;
  });
}

void CeTransport::post() {
  std::erase_if(to_post_, [&](const Item& item) {
    if (!mailbox_.post(item.message.peer, item.sequence, range_of(item.message))) return false;
    to_collect_.push_back(item);
    return true;
  });
}

void CeTransport::start_copies() {
  Batch batch;
  std::vector<CopyRequest> copies;
  std::erase_if(to_copy_, [&](const Item& item) {
    const CeRange* range = mailbox_.posted(item.message.peer, item.sequence);
    if (range == nullptr) return false;
    copies.push_back(copy_of(item.message, *range));
    batch.items.push_back(item);
    return true;
  });
  if (copies.empty()) return;
  if (!mailbox_.unless_aborted([&] { batch.done = streams_.start(copies); })) {
    throw DeviceError("ce: a rank has aborted the exchange");
  }
  copying_.push_back(std::move(batch));
}

void CeTransport::finish_copies() {
  std::erase_if(copying_, [&](Batch& batch) {
    if (!batch.done->poll()) return false;
    // Exchanges that were copied together count the time once.
    batch.items.front().progress->device += batch.done->device_time().value_or(Seconds(0.0));
    for (const Item& item : batch.items) {
      mailbox_.mark_copied(item.message.peer, item.sequence);
      --item.progress->outstanding;
    }
    return true;
  });
}

std::vector<RankId> CeTransport::peers_of(const Progress& progress) const {
  std::vector<RankId> peers;
  for (const auto* items : {&to_post_, &to_collect_, &to_copy_}) {
    for (const Item& item : *items) {
      if (item.progress.get() == &progress) peers.push_back(item.message.peer);
    }
  }
  std::ranges::sort(peers);
  const auto repeated = std::ranges::unique(peers);
  peers.erase(repeated.begin(), repeated.end());
  return peers;
}

CeRange CeTransport::range_of(const Message& message) const {
  const std::span<const DeviceBlock> blocks = memory_.blocks();
  for (std::uint32_t i = 0; i < blocks.size(); ++i) {
    const DeviceBlock& block = blocks[i];
    if (message.pointer < block.start || message.pointer >= block.start + block.bytes.count()) {
      continue;
    }
    return {.block = i,
            .offset = static_cast<std::uint64_t>(message.pointer - block.start),
            .bytes = static_cast<std::uint64_t>(message.bytes.count())};
  }
  throw DeviceError("ce: a message lies outside the rank's memory");
}

CopyRequest CeTransport::copy_of(const Message& message, const CeRange& range) const {
  const PeerBlocks& blocks = peers_[message.peer];
  if (range.bytes != static_cast<std::uint64_t>(message.bytes.count()) ||
      range.block >= blocks.starts.size()) {
    throw DeviceError(fmt::format("ce: rank {} sends {} bytes where {} are expected",
                                  message.peer.value(), range.bytes, message.bytes.count()));
  }
  return {.from = blocks.starts[range.block] + range.offset,
          .to = message.pointer,
          .bytes = message.bytes};
}

void CeTransport::abort() noexcept {
  mailbox_.abort();
}

void CeTransport::close(Deadline deadline) {
  // Whoever shares memory frees it only when nobody maps it any more.
  for (const RankId peer : peers_.ids()) peers_[peer] = {};
  (void)gather(control_, "", deadline);
  closed_ = true;
}

}  // namespace moeshift
