// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/socket_control.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using std::chrono::milliseconds;

/// Bytes read from one peer before the others have their turn.
constexpr std::size_t kOneTurn = std::size_t{1} << 20;

class SocketGathering final : public Gathering {
 public:
  SocketGathering(SocketControl& control, std::uint64_t number,
                  std::shared_ptr<SocketControl::Round> round)
      : control_(control), number_(number), round_(std::move(round)) {}

  bool poll() override { return control_.complete(*round_); }
  const std::vector<std::string>& values() const override { return round_->values; }
  std::vector<RankId> waiting_for() const override { return control_.missing(number_, *round_); }

 private:
  SocketControl& control_;
  std::uint64_t number_;
  std::shared_ptr<SocketControl::Round> round_;
};

void set_nonblocking(int socket) {
  fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
}

}  // namespace

SocketControl::SocketControl(RankId self, std::size_t size, std::vector<FileDescriptor> connections)
    : self_(self), size_(size) {
  MOESHIFT_CHECK(connections.size() == (leads() ? size - 1 : 1));
  for (std::size_t i = 0; i < connections.size(); ++i) {
    set_nonblocking(connections[i].get());
    Peer& peer = peers_.emplace_back();
    peer.rank = leads() ? RankId(i + 1) : RankId(0);
    peer.socket = std::move(connections[i]);
  }
  std::array<int, 2> bell{};
  if (pipe2(bell.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw DeviceError("cannot make a pipe");
  bell_read_ = FileDescriptor(bell[0]);
  bell_write_ = FileDescriptor(bell[1]);
  thread_ = std::jthread([this] { serve(); });
}

SocketControl::~SocketControl() {
  flush(milliseconds(1000));
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  ring();
}

std::unique_ptr<Gathering> SocketControl::all_gather(std::string_view mine) {
  if (mine.size() > kLongestValue) throw DeviceError("too much to tell in one round");
  const std::lock_guard lock(mutex_);
  const std::uint64_t number = next_round_++;
  const std::shared_ptr<Round> open = round(number);
  if (leads()) {
    add_value(self_, number, std::string(mine));
  } else {
    post(peers_[0], {Frame::Kind::kValue, number, std::string(mine)});
  }
  return std::make_unique<SocketGathering>(*this, number, open);
}

bool SocketControl::complete(const Round& round) const {
  const std::lock_guard lock(mutex_);
  return round.complete;
}

std::vector<RankId> SocketControl::missing(std::uint64_t number, const Round& round) {
  std::unique_lock lock(mutex_);
  if (!leads()) {
    post(peers_[0], {Frame::Kind::kMissing, number, {}});
    changed_.wait_for(lock, milliseconds(1000), [&] { return round.missing || failure_; });
    return round.missing.value_or(std::vector<RankId>{RankId(0)});
  }
  std::vector<RankId> ranks;
  for (const RankId rank : all_ids<RankId>(size_)) {
    if (!round.spoken[rank.index()]) ranks.push_back(rank);
  }
  return ranks;
}

void SocketControl::fail(const Failure& failure) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    note_failure(failure);
  }
  flush(milliseconds(500));
}

std::optional<Failure> SocketControl::failure() const {
  if (!failed_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return failure_;
}

void SocketControl::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    post_all({Frame::Kind::kBye, 0, {}});
  }
  flush(milliseconds(1000));
}

std::shared_ptr<SocketControl::Round> SocketControl::round(std::uint64_t number) {
  std::shared_ptr<Round>& round = rounds_[number];
  if (!round) {
    round = std::make_shared<Round>();
    round->values.resize(size_);
    round->spoken.resize(size_, false);
  }
  return round;
}

void SocketControl::add_value(RankId rank, std::uint64_t number, std::string value) {
  const std::shared_ptr<Round> open = round(number);
  if (open->spoken[rank.index()]) throw DeviceError("a rank spoke twice in one round");
  open->spoken[rank.index()] = true;
  open->values[rank.index()] = std::move(value);
  if (++open->count < size_) return;
  post_all({Frame::Kind::kResult, number, to_bytes(open->values)});
  open->complete = true;
  rounds_.erase(number);
  changed_.notify_all();
}

void SocketControl::answer_missing(Peer& peer, std::uint64_t number) {
  std::vector<RankId> ranks;
  const auto open = rounds_.find(number);
  if (open != rounds_.end()) {
    for (const RankId rank : all_ids<RankId>(size_)) {
      if (!open->second->spoken[rank.index()]) ranks.push_back(rank);
    }
  }
  post(peer, {Frame::Kind::kMissing, number, to_bytes(ranks)});
}

void SocketControl::note_failure(const Failure& failure) {
  if (failure_) return;
  failure_ = failure;
  failed_.store(true, std::memory_order_release);
  post_all({Frame::Kind::kFail, 0, to_bytes(failure)});
  changed_.notify_all();
}

void SocketControl::post(Peer& peer, const Frame& frame) {
  if (peer.gone) return;
  peer.outgoing += to_bytes(frame);
  ring();
}

void SocketControl::post_all(const Frame& frame) {
  for (Peer& peer : peers_) post(peer, frame);
}

bool SocketControl::all_said() const {
  return std::ranges::all_of(peers_, [](const Peer& p) { return p.gone || p.outgoing.empty(); });
}

void SocketControl::ring() {
  const char byte = 1;
  // A full pipe means that the thread is going to wake up anyway.
  if (write(bell_write_.get(), &byte, 1) < 0) return;
}

void SocketControl::flush(milliseconds at_most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, at_most, [this] { return all_said(); });
}

void SocketControl::serve() {
  while (wait_for_events()) {
    const std::lock_guard lock(mutex_);
    if (stop_) return;
    for (Peer& peer : peers_) {
      if (!peer.gone) read_from(peer);
      if (!peer.gone) write_to(peer);
    }
    changed_.notify_all();
  }
}

bool SocketControl::wait_for_events() {
  std::vector<pollfd> events = {{bell_read_.get(), POLLIN, 0}};
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return false;
    for (const Peer& peer : peers_) {
      if (peer.gone) continue;
      const auto wanted = static_cast<short>(peer.outgoing.empty() ? POLLIN : POLLIN | POLLOUT);
      events.push_back({peer.socket.get(), wanted, 0});
    }
  }
  poll(events.data(), events.size(), 1000);
  std::array<char, 64> drained{};
  while (read(bell_read_.get(), drained.data(), drained.size()) > 0) {
  }
  return true;
}

void SocketControl::read_from(Peer& peer) {
  std::array<char, 1 << 16> buffer;
  // Frames are taken out as they come, so what waits is never more than one of them; and a peer
  // that never stops talking leaves the others their turn.
  for (std::size_t taken = 0; taken < kOneTurn && !peer.gone;) {
    const ssize_t count = recv(peer.socket.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
      peer.incoming.append(buffer.data(), static_cast<std::size_t>(count));
      taken += static_cast<std::size_t>(count);
      take_frames(peer);
      continue;
    }
    const bool ended = count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    if (ended) lose(peer, "its process ended");
    return;
  }
}

void SocketControl::take_frames(Peer& peer) {
  try {
    while (!peer.gone) {
      const auto frame = take_frame(peer.incoming);
      if (!frame) return;
      handle(peer, *frame);
    }
  } catch (const DeviceError& error) {
    lose(peer, error.what());
  }
}

void SocketControl::write_to(Peer& peer) {
  while (!peer.outgoing.empty()) {
    const ssize_t count =
        send(peer.socket.get(), peer.outgoing.data(), peer.outgoing.size(), MSG_NOSIGNAL);
    if (count > 0) {
      peer.outgoing.erase(0, static_cast<std::size_t>(count));
      continue;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) lose(peer, "its process ended");
    return;
  }
}

void SocketControl::handle(Peer& peer, const Frame& frame) {
  switch (frame.kind) {
    case Frame::Kind::kValue:
      return hear_value(peer, frame);
    case Frame::Kind::kResult:
      return hear_result(frame);
    case Frame::Kind::kFail:
      return note_failure(failure_from(frame.payload, peer.rank, size_));
    case Frame::Kind::kMissing:
      return hear_missing(peer, frame);
    case Frame::Kind::kBye:
      peer.gone = true;
      return;
  }
}

/// A rank speaks in the rounds in their order, and is never further than the one that rank 0 is
/// about to open: it needs rank 0's own value for every round before.
void SocketControl::hear_value(Peer& peer, const Frame& frame) {
  if (!leads() || frame.number != peer.spoken || frame.number > next_round_) {
    throw DeviceError("the peer spoke out of turn");
  }
  ++peer.spoken;
  add_value(peer.rank, frame.number, frame.payload);
}

void SocketControl::hear_result(const Frame& frame) {
  const auto open = rounds_.find(frame.number);
  if (leads() || open == rounds_.end()) throw DeviceError("the peer answered what nobody asked");
  open->second->values = values_from(frame.payload, size_);
  open->second->complete = true;
  rounds_.erase(open);
}

void SocketControl::hear_missing(Peer& peer, const Frame& frame) {
  if (leads()) {
    // Who asks faster than he listens is not answered.
    if (peer.outgoing.size() < kOneTurn) answer_missing(peer, frame.number);
    return;
  }
  const auto open = rounds_.find(frame.number);
  if (open != rounds_.end()) open->second->missing = ranks_from(frame.payload, size_);
}

void SocketControl::lose(Peer& peer, const std::string& reason) {
  peer.gone = true;
  peer.incoming.clear();
  peer.outgoing.clear();
  if (!closing_) note_failure({.rank = peer.rank, .reason = reason});
}

}  // namespace moeshift
