// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/host/process_transport.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/world/passed_files.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kPiece = std::int64_t{4} << 20;  // as in host_memory.cpp

}  // namespace

/// Finished once both counts of every peer it concerns have passed its own messages.
class ProcessExchange final : public Pending {
 public:
  struct Mark {
    RankId peer;
    Direction direction;
    std::uint64_t count;  ///< messages of that peer and direction, this one included
  };

  ProcessExchange(ProcessTransport& transport, std::vector<Mark> marks)
      : transport_(transport), aborted_(transport.aborted_), marks_(std::move(marks)) {}

  bool poll() override {
    if (*aborted_) throw DeviceError("the process transport was aborted");
    transport_.progress();
    std::erase_if(marks_, [this](const Mark& mark) { return passed(mark); });
    return marks_.empty();
  }

  std::vector<RankId> waiting_for() const override {
    std::vector<RankId> ranks;
    for (const Mark& mark : marks_) ranks.push_back(mark.peer);
    std::ranges::sort(ranks);
    ranks.erase(std::ranges::unique(ranks).begin(), ranks.end());
    return ranks;
  }

 private:
  [[nodiscard]] bool passed(const Mark& mark) const {
    const auto& peer = transport_.peers_[mark.peer.index()];
    if (mark.direction == Direction::kReceive) return peer.received >= mark.count;
    return peer.out->taken.load(std::memory_order_acquire) >= mark.count;
  }

  ProcessTransport& transport_;
  std::shared_ptr<bool> aborted_;
  std::vector<Mark> marks_;
};

ProcessTransport::ProcessTransport(ControlPlane& control, std::shared_ptr<SharedArena> arena,
                                   Deadline deadline, const std::function<bool()>& stop)
    : self_(control.self()),
      arena_(std::move(arena)),
      peers_(control.size()),
      aborted_(std::make_shared<bool>(false)) {
  // A mailbox per sender, first thing in the arena, and empty also where memory was kept.
  const std::size_t bytes = sizeof(SharedMailbox) * peers_.size();
  std::byte* start = arena_->allocate(Bytes(static_cast<std::int64_t>(bytes)));
  std::memset(start, 0, bytes);
  auto* inbox = reinterpret_cast<SharedMailbox*>(start);
  const auto inbox_offset = static_cast<std::size_t>(arena_->offset_of(start));
  const auto take = [&](RankId rank, const FileDescriptor& file) {
    Peer& peer = peers_[rank.index()];
    peer.memory = map_arena(file, inbox_offset + bytes, arena_->is_image());
    peer.in = inbox + rank.index();
    peer.out = reinterpret_cast<SharedMailbox*>(peer.memory.start() + inbox_offset) + self_.index();
  };
  exchange_files(control, arena_->file(), deadline, stop, take);
}

std::unique_ptr<Pending> ProcessTransport::exchange(std::span<const Message> messages) {
  std::vector<ProcessExchange::Mark> marks;
  for (const Message& message : messages) {
    Peer& peer = peers_[message.peer.index()];
    if (message.direction == Direction::kSend) {
      peer.waiting.push_back({arena_->offset_of(message.pointer), message.bytes.count()});
      marks.push_back({message.peer, message.direction, ++peer.sends});
      post(peer);
    } else {
      peer.receives.push_back({message.pointer, message.bytes.count()});
      marks.push_back({message.peer, message.direction, ++peer.expected});
    }
  }
  return std::make_unique<ProcessExchange>(*this, std::move(marks));
}

void ProcessTransport::progress() {
  std::int64_t budget = kPiece;
  for (const RankId rank : all_ids<RankId>(peers_.size())) {
    Peer& peer = peers_[rank.index()];
    if (!peer.waiting.empty()) post(peer);
    while (!peer.receives.empty() && budget > 0) {
      const std::int64_t copied = copy_some(peer, rank);
      if (copied == 0) break;
      budget -= copied;
    }
  }
}

void ProcessTransport::post(Peer& peer) const {
  std::uint64_t posted = peer.out->posted.load(std::memory_order_relaxed);
  while (!peer.waiting.empty()) {
    const std::uint64_t taken = peer.out->taken.load(std::memory_order_acquire);
    if (posted - taken == SharedMailbox::kPlaces) break;
    peer.out->offers[posted % SharedMailbox::kPlaces] = peer.waiting.front();
    peer.waiting.pop_front();
    peer.out->posted.store(++posted, std::memory_order_release);
  }
}

std::int64_t ProcessTransport::copy_some(Peer& peer, RankId from) const {
  if (peer.in->posted.load(std::memory_order_acquire) <= peer.received) return 0;
  const SharedMailbox::Offer offer = peer.in->offers[peer.received % SharedMailbox::kPlaces];
  Receive& receive = peer.receives.front();
  if (offer.bytes != receive.bytes) {
    throw DeviceError(fmt::format("rank {} sent {} bytes where {} were expected", from.value(),
                                  offer.bytes, receive.bytes));
  }
  const auto room = static_cast<std::int64_t>(peer.memory.bytes());
  if (offer.offset < 0 || offer.offset > room - offer.bytes) {
    throw DeviceError(fmt::format("rank {} sent from outside of its memory", from.value()));
  }
  const std::int64_t piece = std::min(kPiece, receive.bytes - receive.done);
  std::memcpy(receive.pointer + receive.done, peer.memory.start() + offer.offset + receive.done,
              static_cast<std::size_t>(piece));
  receive.done += piece;
  if (receive.done == receive.bytes) {
    peer.receives.pop_front();
    peer.in->taken.store(++peer.received, std::memory_order_release);
  }
  return piece;
}

}  // namespace moeshift
