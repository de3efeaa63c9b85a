// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/peer/peer_memory_transport.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/world/gather.hpp"

namespace moeshift {
namespace {

/// Copies that may be under way; what is posted meanwhile starts together, in one call.
constexpr std::size_t kBatches = 2;

/// DeviceRuntime::place_of, padded.
using DevicePlace = std::array<char, 32>;

/// What a rank tells of itself: one of these, then one BlockNotice per block.
struct RankNotice {
  std::int64_t process = 0;
  DevicePlace place{};
};
struct BlockNotice {
  std::byte* start = nullptr;
  MemoryTicket ticket;
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

DevicePlace place_of(const AcceleratorMemory& memory) {
  DevicePlace place{};
  memory.platform().runtime->place_of(memory.device()).copy(place.data(), place.size() - 1);
  return place;
}

std::string announcement_of(const AcceleratorMemory& memory) {
  std::string text;
  append(text, RankNotice{.process = ::getpid(), .place = place_of(memory)});
  for (const DeviceBlock& block : memory.blocks()) {
    BlockNotice notice{.start = block.start, .ticket = {}};
    notice.ticket = memory.platform().runtime->share(block.start);
    append(text, notice);
  }
  return text;
}

/// Without peer access the driver copies through the host; a kernel cannot store there.
void allow_access_to(const AcceleratorMemory& memory, const DevicePlace& place, PeerCopy how) {
  const DeviceRuntime& runtime = *memory.platform().runtime;
  const DeviceId own = memory.device();
  const DeviceId peer = runtime.device_at(place.data());
  const bool possible = runtime.reaches(own, peer);
  if (!possible && how == PeerCopy::kStores) {
    throw DeviceError(fmt::format("GPU {} cannot reach the memory of GPU {}; use `backend` nccl",
                                  own.ordinal, peer.ordinal));
  }
  if (!possible) return;
  // Ranks are threads here, and each may have several transports: who comes first enables it.
  static std::mutex mutex;
  static std::set<std::tuple<const DeviceRuntime*, DeviceId, DeviceId>> enabled;
  const std::lock_guard lock(mutex);
  if (enabled.emplace(&runtime, own, peer).second) runtime.allow_access_to(peer);
}

}  // namespace

/// One call of exchange(): finished when none of its messages is outstanding.
class PeerMemoryTransport::PendingExchange final : public Pending {
 public:
  PendingExchange(PeerMemoryTransport& transport, std::shared_ptr<Progress> progress)
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
  PeerMemoryTransport& transport_;
  std::shared_ptr<Progress> progress_;
};

PeerMemoryTransport::PeerMemoryTransport(ControlPlane& control, AcceleratorMemory& memory,
                                         PeerCopy how, unsigned blocks, Deadline deadline)
    : control_(control),
      memory_(memory),
      how_(how),
      mailbox_(control, deadline),
      far_(memory.platform(),
           how == PeerCopy::kStores ? 1 : std::max<std::size_t>(control.size() - 1, 1),
           how == PeerCopy::kStores ? CopyPath::kKernel : CopyPath::kCopyEngine,
           /*high_priority=*/true, blocks),
      // Ranks that share a GPU would starve beside a model that keeps it full.
      near_(memory.platform(), 1, CopyPath::kKernel, /*high_priority=*/true, blocks),
      peers_(std::vector<PeerBlocks>(control.size())),
      posted_(control.size(), 0),
      taken_(control.size(), 0) {}

PeerMemoryTransport::~PeerMemoryTransport() {
  if (!closed_) PeerMemoryTransport::abort();
}

void PeerMemoryTransport::connect(std::span<const RankId> send_to,
                                  std::span<const RankId> /*receive_from*/, Deadline deadline) {
  const std::vector<std::string> announcements =
      gather(control_, announcement_of(memory_), deadline);
  for (const RankId peer : send_to) open_blocks(peer, announcements[peer.index()]);
}

void PeerMemoryTransport::open_blocks(RankId peer, const std::string& announcement) {
  std::string_view rest = announcement;
  const auto notice = take<RankNotice>(rest);
  const bool same_process = notice.process == ::getpid();
  PeerBlocks& blocks = peers_[peer];
  blocks = {};
  blocks.same_device = notice.place == place_of(memory_);
  if (!blocks.same_device && same_process) allow_access_to(memory_, notice.place, how_);
  while (!rest.empty()) {
    const auto block = take<BlockNotice>(rest);
    if (same_process) {
      blocks.starts.push_back(block.start);
      continue;
    }
    const DeviceRuntime* const runtime = memory_.platform().runtime;
    void* const start = runtime->map(block.ticket);
    blocks.mappings.emplace_back(start, MappedMemory::deleter_type{runtime});
    blocks.starts.push_back(static_cast<std::byte*>(start));
  }
}

std::unique_ptr<Pending> PeerMemoryTransport::exchange(std::span<const Message> messages) {
  auto progress = std::make_shared<Progress>();
  progress->outstanding = messages.size();
  Share own;
  for (const Message& message : messages) {
    if (message.direction == Direction::kSend) {
      own.items.push_back({message, taken_[message.peer]++, progress});
    } else {
      to_post_.push_back({message, posted_[message.peer]++, progress});
    }
  }
  if (!own.items.empty()) {
    own.items = turn_about(std::move(own.items));
    std::map<RankId, const Item*> last;
    for (const Item& item : own.items) last[item.message.peer] = &item;
    for (const auto& [peer, item] : last) own.last.push_back(*item);
    to_copy_.push_back(std::move(own));
  }
  advance();
  return std::make_unique<PendingExchange>(*this, std::move(progress));
}

/// To one peer after the other in turn: no block of a kernel waits for the wire of one.
std::vector<PeerMemoryTransport::Item> PeerMemoryTransport::turn_about(
    std::vector<Item> items) const {
  const std::size_t ranks = control_.size();
  IdVector<RankId, std::size_t> sent(ranks, 0);
  std::vector<std::pair<std::size_t, Item>> turns;
  for (Item& item : items) {
    const RankId peer = item.message.peer;
    const std::size_t distance = (peer.index() + ranks - control_.self().index()) % ranks;
    turns.emplace_back(sent[peer]++ * ranks + distance, std::move(item));
  }
  std::ranges::stable_sort(turns, {}, &std::pair<std::size_t, Item>::first);
  items.clear();
  for (auto& [turn, item] : turns) items.push_back(std::move(item));
  return items;
}

void PeerMemoryTransport::advance() {
  if (mailbox_.aborted()) throw DeviceError("a rank has aborted the exchange");
  post();
  finish_copies();
  if (copying_.size() < kBatches) start_copies();
  std::erase_if(to_collect_, [&](const Item& item) {
    if (!mailbox_.collect(item.message.peer, item.sequence)) return false;
    --item.progress->outstanding;
    return true;
  });
}

/// In the order of the messages of each pair, also when a later place of the ring is free earlier.
void PeerMemoryTransport::post() {
  IdVector<RankId, char> full(control_.size(), 0);
  std::erase_if(to_post_, [&](const Item& item) {
    const RankId peer = item.message.peer;
    if (full[peer] != 0) return false;
    full[peer] = mailbox_.post(peer, item.sequence, range_of(item.message)) ? 0 : 1;
    if (full[peer] != 0) return false;
    to_collect_.push_back(item);
    return true;
  });
}

/// Messages of a pair are posted in order: the last one stands for all.
bool PeerMemoryTransport::is_posted(const Share& share) const {
  return std::ranges::all_of(share.last, [&](const Item& item) {
    return mailbox_.posted(item.message.peer, item.sequence) != nullptr;
  });
}

void PeerMemoryTransport::start_copies() {
  std::vector<Share> shares;
  std::erase_if(to_copy_, [&](Share& share) {
    if (!is_posted(share)) return false;
    shares.push_back(std::move(share));
    return true;
  });
  if (shares.empty()) return;
  Batch batch;
  if (!mailbox_.unless_aborted([&] { batch.lanes = start(shares); })) {
    throw DeviceError("a rank has aborted the exchange");
  }
  for (Share& share : shares) {
    std::ranges::move(share.items, std::back_inserter(batch.items));
  }
  copying_.push_back(std::move(batch));
}

/// One call for all stores between GPUs; copy engines have a stream for each peer, with one call.
std::vector<std::unique_ptr<Pending>> PeerMemoryTransport::start(const std::vector<Share>& shares) {
  std::vector<std::vector<CopyRequest>> far(far_.streams());
  std::vector<CopyRequest> near;
  const std::size_t self = control_.self().index();
  for (const Share& share : shares) {
    for (const Item& item : share.items) {
      const std::size_t peer = item.message.peer.index();
      const std::size_t stream = (peer > self ? peer - 1 : peer) % far.size();
      (peers_[item.message.peer].same_device ? near : far[stream]).push_back(copy_of(item));
    }
  }
  std::vector<std::unique_ptr<Pending>> lanes;
  for (std::size_t stream = 0; stream < far.size(); ++stream) {
    if (!far[stream].empty()) lanes.push_back(far_.start_in_order(far[stream], stream));
  }
  if (!near.empty()) lanes.push_back(near_.start_in_order(near));
  return lanes;
}

void PeerMemoryTransport::finish_copies() {
  std::erase_if(copying_, [&](Batch& batch) {
    Seconds device;
    for (const std::unique_ptr<Pending>& lane : batch.lanes) {
      if (!lane->poll()) return false;
      device = std::max(device, lane->device_time().value_or(Seconds(0.0)));
    }
    // Exchanges that were copied together count the time once.
    batch.items.front().progress->device += device;
    for (const Item& item : batch.items) {
      mailbox_.mark_copied(item.message.peer, item.sequence);
      --item.progress->outstanding;
    }
    return true;
  });
  if (copying_.empty()) mailbox_.settled();
}

std::vector<RankId> PeerMemoryTransport::peers_of(const Progress& progress) const {
  std::vector<RankId> peers;
  const auto add = [&](const Item& item) {
    if (item.progress.get() == &progress) peers.push_back(item.message.peer);
  };
  std::ranges::for_each(to_post_, add);
  std::ranges::for_each(to_collect_, add);
  for (const Share& share : to_copy_) {
    for (const Item& item : share.last) {
      if (mailbox_.posted(item.message.peer, item.sequence) == nullptr) add(item);
    }
  }
  std::ranges::sort(peers);
  const auto repeated = std::ranges::unique(peers);
  peers.erase(repeated.begin(), repeated.end());
  return peers;
}

MemoryRange PeerMemoryTransport::range_of(const Message& message) const {
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
  throw DeviceError("a message lies outside the rank's memory");
}

CopyRequest PeerMemoryTransport::copy_of(const Item& item) const {
  const Message& message = item.message;
  const MemoryRange* range = mailbox_.posted(message.peer, item.sequence);
  MOESHIFT_CHECK(range != nullptr);
  const PeerBlocks& blocks = peers_[message.peer];
  if (range->bytes != static_cast<std::uint64_t>(message.bytes.count()) ||
      range->block >= blocks.starts.size()) {
    throw DeviceError(fmt::format("rank {} has {} bytes where {} are expected",
                                  message.peer.value(), range->bytes, message.bytes.count()));
  }
  return {message.pointer, blocks.starts[range->block] + range->offset, message.bytes};
}

/// Memory is freed after this: copies that are under way come to their end first, here and, if they
/// are alive, at the peers.
void PeerMemoryTransport::abort() noexcept {
  if (std::exchange(aborted_, true)) return;
  mailbox_.forbid();
  const Deadline deadline = Deadline::in(Seconds(1.0));
  try {
    while (!copying_.empty() && !deadline.expired()) {
      finish_copies();
      std::this_thread::yield();
    }
  } catch (const DeviceError&) {
    copying_.clear();
  }
  mailbox_.settled();
  mailbox_.wait_for_others();
}

void PeerMemoryTransport::close(Deadline deadline) {
  // Whoever shares memory frees it only when nobody maps it any more.
  for (const RankId peer : peers_.ids()) peers_[peer] = {};
  (void)gather(control_, "", deadline);
  closed_ = true;
}

}  // namespace moeshift
