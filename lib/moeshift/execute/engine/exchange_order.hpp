// SPDX-License-Identifier: Apache-2.0
// Which message of which exchange every expert travels in: worked out alike on all ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/execute/engine/rank_program.hpp"
#include "moeshift/execute/pattern.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// One wave of one layer, as part of a unit.
struct UnitWave {
  std::size_t layer = 0;
  std::size_t index = 0;
  const Wave* wave = nullptr;
  bool last = true;
};

/// A message's worth of a transfer of one unit, the layer of the plan it belongs to, and the
/// exchange it travels in.
struct Piece {
  std::size_t layer = 0;
  const Transfer* transfer = nullptr;
  const TensorRange* range = nullptr;
  bool first = true;  ///< of the transfer, and stands for all of it
  std::size_t step = 0;
  std::size_t message = 0;  ///< of its pair in this group; gathered pieces share one
};

/// What else is under way when a unit is exchanged.
struct UnitTurn {
  bool first = true;  ///< nothing travels yet
  bool last = true;   ///< nothing will
};

/// The pieces of one unit, group after group.
struct ExchangeOrder {
  std::vector<Piece> pieces;
  std::size_t steps = 0;  ///< exchanges that they take
};

/// Cuts the experts of a plan into messages and puts these into exchanges. What it says depends on
/// the plan and the rules alone, never on who asks: both sides of a message agree without a word.
class MessageCutter {
 public:
  /// The plan, the layout and the rules outlive this.
  MessageCutter(const TransferPlan& plan, const ExpertLayouts& layout, const MessageRules& rules);

  /// Some experts land in their slot at once, without staging.
  [[nodiscard]] bool lands_direct() const { return direct_; }
  /// Experts that a pair exchanges in one step share a message, for some pairs at least.
  [[nodiscard]] bool gathers() const { return gathers_; }
  [[nodiscard]] bool gathers(RankId source, RankId destination) const {
    return gathers_ && !within_island(source, destination);
  }

  /// All pieces of a unit, group after group, in an order in which every port is in use once at a
  /// time; they refer to ranges in here. O(pieces * log).
  [[nodiscard]] ExchangeOrder order(const std::vector<UnitWave>& waves, UnitTurn turn = {});

 private:
  /// What a pair has sent of a group so far.
  struct PairState {
    std::size_t messages = 0;
    std::int64_t open = 0;   ///< bytes of the message that further experts may join
    std::int64_t sent = 0;   ///< bytes so far
    std::int64_t total = 0;  ///< bytes in all
  };
  using Pairs = std::map<std::pair<RankId, RankId>, PairState>;

  const std::vector<TensorRange>& ranges_of(std::size_t layer, ExpertId expert);
  [[nodiscard]] std::size_t message_of(const Piece& piece, PairState& pair) const;
  [[nodiscard]] bool within_island(RankId source, RankId destination) const {
    return !rules_.islands.empty() &&
           rules_.islands[source.index()] == rules_.islands[destination.index()];
  }
  [[nodiscard]] bool cuts_parts() const {
    return gathers_ && rules_.gather_first.count() > 0 && plan_.chunk_bytes.count() == 0;
  }
  /// What every pair sends in the group that begins there.
  [[nodiscard]] Pairs totals_of(std::span<const Piece> rest) const;
  /// Where the exchanges end that a group's gathered messages are spread over, in shares of what a
  /// pair sends; empty: messages are not cut into such parts.
  [[nodiscard]] std::vector<double> parts_of(const Pairs& pairs, bool starts, bool ends) const;

  const TransferPlan& plan_;
  const ExpertLayouts& layout_;
  const MessageRules& rules_;
  bool direct_;
  bool gathers_;
  std::vector<double> parts_;                         ///< of the group that is cut
  std::map<Bytes, std::vector<TensorRange>> chunks_;  ///< of an expert of so many bytes
};

}  // namespace moeshift
