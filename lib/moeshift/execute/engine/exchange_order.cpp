// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/exchange_order.hpp"

#include <algorithm>
#include <utility>

namespace moeshift {
namespace {

/// An expert in one message, or in pieces of a chunk each; 0: of any size.
std::vector<TensorRange> chunks_of(Bytes slot, std::int64_t chunk) {
  if (chunk == 0 || chunk >= slot.count()) return {{"", {}, slot}};
  const std::int64_t step = std::max(chunk / kTensorAlignment * kTensorAlignment, kTensorAlignment);
  std::vector<TensorRange> ranges;
  for (std::int64_t at = 0; at < slot.count(); at += step) {
    ranges.push_back({"", Bytes(at), Bytes(std::min(step, slot.count() - at))});
  }
  return ranges;
}

bool any_lands_direct(const TransferPlan& plan) {
  return std::ranges::any_of(plan.layers, [](const LayerMoves& layer) {
    return std::ranges::any_of(layer.waves, [](const Wave& wave) {
      return std::ranges::any_of(wave.transfers, [](const Transfer& transfer) {
        return transfer.to.kind == Place::Kind::kLive;
      });
    });
  });
}

/// Only what is whole, staged side by side and smaller than a message can share one.
bool may_gather(const TransferPlan& plan, const MessageRules& rules) {
  const Bytes largest = plan.sizes.largest();
  const Bytes chunk = plan.chunk_bytes;
  return plan.messages_per_expert == 0 && largest < rules.pack_below &&
         (chunk == Bytes(0) || largest <= chunk);
}

}  // namespace

MessageCutter::MessageCutter(const TransferPlan& plan, const ExpertLayouts& layout,
                             const MessageRules& rules)
    : plan_(plan),
      layout_(layout),
      rules_(rules),
      direct_(any_lands_direct(plan)),
      gathers_(!direct_ && may_gather(plan, rules)) {}

/// The messages that carry one expert.
const std::vector<TensorRange>& MessageCutter::ranges_of(std::size_t layer, ExpertId expert) {
  if (plan_.messages_per_expert > 0) return layout_.of(layer, expert).tensors;
  const Bytes bytes = plan_.size_of(layer, expert);
  std::vector<TensorRange>& ranges = chunks_[bytes];
  if (ranges.empty()) ranges = chunks_of(bytes, plan_.chunk_bytes.count());
  return ranges;
}

/// The message of its pair that the piece travels in.
std::size_t MessageCutter::message_of(const Piece& piece, PairState& pair) const {
  if (!gathers_) return pair.messages++;
  const std::int64_t chunk = plan_.chunk_bytes.count();
  const std::int64_t bytes = piece.range->bytes.count();
  const bool full = chunk > 0 && pair.open > 0 && pair.open + bytes > chunk;
  pair.messages += full ? 1 : 0;
  pair.open = (full ? 0 : pair.open) + bytes;
  return pair.messages;
}

ExchangeOrder MessageCutter::order(const std::vector<UnitWave>& waves) {
  ExchangeOrder order;
  for (const UnitWave& wave : waves) {
    for (const Transfer& transfer : wave.wave->transfers) {
      const auto& ranges = ranges_of(wave.layer, transfer.expert);
      for (const TensorRange& range : ranges) {
        order.pieces.push_back({wave.layer, &transfer, &range, &range == ranges.data()});
      }
    }
  }
  std::ranges::stable_sort(order.pieces, {}, [](const Piece& p) { return p.transfer->group; });
  std::map<std::pair<RankId, RankId>, PairState> pairs;
  std::size_t group_start = 0;
  std::uint32_t group = 0;
  for (Piece& piece : order.pieces) {
    const Transfer& transfer = *piece.transfer;
    if (transfer.group != group) {
      group = transfer.group;
      group_start = order.steps;
      pairs.clear();
    }
    piece.message = message_of(piece, pairs[{transfer.source, transfer.destination}]);
    piece.step = group_start + piece.message / rules_.messages_per_pair;
    order.steps = std::max(order.steps, piece.step + 1);
  }
  return order;
}

}  // namespace moeshift
