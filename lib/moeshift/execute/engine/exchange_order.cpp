// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/exchange_order.hpp"

#include <algorithm>
#include <optional>
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

/// Only what is whole and smaller than a message can share one.
bool may_gather(const TransferPlan& plan, const MessageRules& rules) {
  const Bytes largest = plan.sizes.largest();
  const Bytes chunk = plan.chunk_bytes;
  return plan.messages_per_expert == 0 && !rules.by_tensor && largest < rules.pack_below &&
         (chunk == Bytes(0) || largest <= chunk);
}

}  // namespace

MessageCutter::MessageCutter(const TransferPlan& plan, const ExpertLayouts& layout,
                             const MessageRules& rules)
    : plan_(plan),
      layout_(layout),
      rules_(rules),
      direct_(any_lands_direct(plan)),
      gathers_(may_gather(plan, rules)) {}

/// The messages that carry one expert.
const std::vector<TensorRange>& MessageCutter::ranges_of(std::size_t layer, ExpertId expert) {
  if (plan_.messages_per_expert > 0) return layout_.of(layer, expert).tensors;
  const Bytes bytes = plan_.size_of(layer, expert);
  std::vector<TensorRange>& ranges = chunks_[bytes];
  if (!ranges.empty()) return ranges;
  if (!rules_.by_tensor) return ranges = chunks_of(bytes, plan_.chunk_bytes.count());
  for (const TensorRange& tensor : layout_.of(layer, expert).tensors) {
    for (const TensorRange& part : chunks_of(tensor.bytes, plan_.chunk_bytes.count())) {
      ranges.push_back({"", tensor.offset + part.offset, part.bytes});
    }
  }
  return ranges;
}

/// The message of its pair that the piece travels in.
std::size_t MessageCutter::message_of(const Piece& piece, PairState& pair,
                                      std::int64_t parts) const {
  if (!gathers(piece.transfer->source, piece.transfer->destination)) return pair.messages++;
  if (parts > 0) {
    // The middle of the expert says which part it belongs to: parts are about equal, for every
    // pair.
    const std::int64_t size = piece.range->bytes.count();
    const std::int64_t middle = pair.sent + size / 2;
    pair.sent += size;
    return static_cast<std::size_t>(middle * parts / std::max<std::int64_t>(pair.total, 1));
  }
  const std::int64_t chunk = plan_.chunk_bytes.count();
  const std::int64_t bytes = piece.range->bytes.count();
  const bool full = chunk > 0 && pair.open > 0 && pair.open + bytes > chunk;
  pair.messages += full ? 1 : 0;
  pair.open = (full ? 0 : pair.open) + bytes;
  return pair.messages;
}

MessageCutter::Pairs MessageCutter::totals_of(std::span<const Piece> rest) const {
  Pairs pairs;
  const std::uint32_t group = rest.front().transfer->group;
  for (const Piece& piece : rest) {
    if (piece.transfer->group != group) break;
    pairs[{piece.transfer->source, piece.transfer->destination}].total +=
        piece.range->bytes.count();
  }
  return pairs;
}

std::int64_t MessageCutter::parts_of(const Pairs& pairs) const {
  if (!cuts_parts()) return 0;
  std::int64_t most = 0;
  for (const auto& [pair, state] : pairs) {
    if (!within_island(pair.first, pair.second)) most = std::max(most, state.total);
  }
  const std::int64_t limit = rules_.gather_at_most.count();
  return std::max<std::int64_t>((most + limit - 1) / limit, 1);
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
  // Round by round, so that who takes messages in their order finds every port in use once.
  std::ranges::stable_sort(order.pieces, {}, [](const Piece& p) {
    return std::pair(p.transfer->group, p.transfer->round);
  });
  Pairs pairs;
  std::int64_t parts = 0;
  std::size_t group_start = 0;
  std::optional<std::uint32_t> group;
  for (std::size_t i = 0; i < order.pieces.size(); ++i) {
    Piece& piece = order.pieces[i];
    const Transfer& transfer = *piece.transfer;
    if (group != transfer.group) {
      group = transfer.group;
      group_start = order.steps;
      pairs = totals_of(std::span(order.pieces).subspan(i));
      parts = parts_of(pairs);
    }
    const auto key = std::pair(transfer.source, transfer.destination);
    piece.message = message_of(piece, pairs[key], parts);
    const bool part = parts > 0 && gathers(key.first, key.second);
    const std::size_t at_once = part                                   ? 1
                                : within_island(key.first, key.second) ? rules_.messages_inside
                                                                       : rules_.messages_per_pair;
    piece.step = group_start + piece.message / at_once;
    order.steps = std::max(order.steps, piece.step + 1);
  }
  return order;
}

}  // namespace moeshift
