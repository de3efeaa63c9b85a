// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_mpi/mpi_transport.hpp"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/execute_mpi/mpi_check.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kLongestPiece = std::int64_t{1} << 30;
constexpr int kTag = 0;

struct Piece {
  MPI_Request request = MPI_REQUEST_NULL;
  RankId peer;
};

class MpiExchange final : public Pending {
 public:
  MpiExchange(std::vector<Piece> pieces, const bool& aborted)
      : pieces_(std::move(pieces)), aborted_(aborted) {}

  bool poll() override {
    if (aborted_) throw DeviceError("the MPI transport was aborted");
    std::erase_if(pieces_, [](Piece& piece) {
      int done = 0;
      check_mpi(MPI_Test(&piece.request, &done, MPI_STATUS_IGNORE));
      return done != 0;
    });
    return pieces_.empty();
  }

  std::vector<RankId> waiting_for() const override {
    std::vector<RankId> ranks;
    for (const Piece& piece : pieces_) ranks.push_back(piece.peer);
    std::ranges::sort(ranks);
    ranks.erase(std::ranges::unique(ranks).begin(), ranks.end());
    return ranks;
  }

 private:
  std::vector<Piece> pieces_;
  const bool& aborted_;
};

Piece start(const Message& message, std::int64_t offset, std::int64_t bytes, MPI_Comm comm) {
  Piece piece{MPI_REQUEST_NULL, message.peer};
  const int count = static_cast<int>(bytes);
  const int peer = static_cast<int>(message.peer.value());
  std::byte* at = message.pointer + offset;
  check_mpi(message.direction == Direction::kSend
                ? MPI_Isend(at, count, MPI_BYTE, peer, kTag, comm, &piece.request)
                : MPI_Irecv(at, count, MPI_BYTE, peer, kTag, comm, &piece.request));
  return piece;
}

}  // namespace

void MpiTransport::connect(std::span<const RankId> send_to, std::span<const RankId> receive_from,
                           Deadline deadline) {
  std::byte sent{1};
  std::vector<std::byte> received(receive_from.size());
  std::vector<Message> greetings;
  for (const RankId peer : send_to) {
    greetings.push_back({peer, Direction::kSend, &sent, Bytes(1)});
  }
  for (std::size_t i = 0; i < receive_from.size(); ++i) {
    greetings.push_back({receive_from[i], Direction::kReceive, &received[i], Bytes(1)});
  }
  const auto pending = exchange(greetings);
  while (!pending->poll()) {
    if (deadline.expired()) throw DeviceError("MPI: a peer did not answer the first message");
    std::this_thread::yield();
  }
}

std::unique_ptr<Pending> MpiTransport::exchange(std::span<const Message> messages) {
  std::vector<Piece> pieces;
  // Receives first: what arrives then finds its place at once.
  for (const Direction direction : {Direction::kReceive, Direction::kSend}) {
    for (const Message& message : messages) {
      if (message.direction != direction) continue;
      for (std::int64_t offset = 0; offset < message.bytes.count(); offset += kLongestPiece) {
        const std::int64_t bytes = std::min(kLongestPiece, message.bytes.count() - offset);
        pieces.push_back(start(message, offset, bytes, communicator_));
      }
    }
  }
  return std::make_unique<MpiExchange>(std::move(pieces), aborted_);
}

}  // namespace moeshift
