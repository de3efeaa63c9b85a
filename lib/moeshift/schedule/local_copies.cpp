// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/local_copies.hpp"

#include <algorithm>

namespace moeshift {
namespace {

Place live(std::uint32_t slot) {
  return {Place::Kind::kLive, slot};
}

/// The moves of one rank.
class RankCopies {
 public:
  RankCopies(std::span<const LocalMove> moves, std::uint32_t& next_buffer, LocalCopies& copies)
      : next_buffer_(next_buffer), copies_(copies) {
    for (const LocalMove& move : moves) {
      pending_.push_back({move.rank, move.expert, live(move.from), live(move.to)});
    }
  }

  void order() {
    while (!pending_.empty()) {
      if (!commit_one_that_nobody_waits_for()) open_cycle(pending_.front());
    }
  }

 private:
  bool commit_one_that_nobody_waits_for() {
    const auto free = std::find_if(pending_.begin(), pending_.end(), [&](const LocalCopy& copy) {
      return std::none_of(pending_.begin(), pending_.end(),
                          [&](const LocalCopy& other) { return other.from == copy.to; });
    });
    if (free == pending_.end()) return false;
    copies_.commit.push_back(*free);
    done_.push_back(*free);
    pending_.erase(free);
    return true;
  }

  /// Gives the copy another source than the slot that the cycle overwrites.
  void open_cycle(LocalCopy& copy) {
    const auto twin = std::find_if(done_.begin(), done_.end(), [&](const LocalCopy& other) {
      return other.expert == copy.expert;
    });
    if (twin != done_.end()) {
      copy.from = twin->to;
      return;
    }
    const Place buffer = {Place::Kind::kStaging, next_buffer_++};
    copies_.stage.push_back({copy.rank, copy.expert, copy.from, buffer});
    copy.from = buffer;
  }

  std::uint32_t& next_buffer_;
  LocalCopies& copies_;
  std::vector<LocalCopy> pending_;
  std::vector<LocalCopy> done_;  ///< their slots are final
};

}  // namespace

LocalCopies order_local_moves(std::span<const LocalMove> moves,
                              IdVector<RankId, std::uint32_t>& next_buffer) {
  LocalCopies copies;
  for (std::size_t first = 0; first < moves.size();) {
    const RankId rank = moves[first].rank;
    std::size_t last = first;
    while (last < moves.size() && moves[last].rank == rank) ++last;
    RankCopies(moves.subspan(first, last - first), next_buffer[rank], copies).order();
    first = last;
  }
  return copies;
}

}  // namespace moeshift
