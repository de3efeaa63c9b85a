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
    peers_.push_back({leads() ? RankId(i + 1) : RankId(0), std::move(connections[i]), {}, {}});
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
  while (true) {
    const ssize_t count = recv(peer.socket.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
      peer.incoming.append(buffer.data(), static_cast<std::size_t>(count));
      continue;
    }
    const bool ended = count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    try {
      while (const auto frame = take_frame(peer.incoming)) handle(peer, *frame);
    } catch (const DeviceError& error) {
      note_failure({.rank = peer.rank, .reason = error.what()});
    }
    if (ended && !peer.gone) lose(peer);
    return;
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
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) lose(peer);
    return;
  }
}

void SocketControl::handle(Peer& peer, const Frame& frame) {
  switch (frame.kind) {
    case Frame::Kind::kValue:
      if (leads()) add_value(peer.rank, frame.number, frame.payload);
      return;
    case Frame::Kind::kResult: {
      const std::shared_ptr<Round> done = round(frame.number);
      done->values = values_from(frame.payload);
      done->complete = true;
      rounds_.erase(frame.number);
      return;
    }
    case Frame::Kind::kFail:
      note_failure(failure_from(frame.payload));
      return;
    case Frame::Kind::kMissing:
      if (leads()) {
        answer_missing(peer, frame.number);
      } else {
        round(frame.number)->missing = ranks_from(frame.payload);
      }
      return;
    case Frame::Kind::kBye:
      peer.gone = true;
      return;
  }
}

void SocketControl::lose(Peer& peer) {
  peer.gone = true;
  peer.outgoing.clear();
  if (!closing_) note_failure({.rank = peer.rank, .reason = "its process ended"});
}

}  // namespace moeshift
