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

/// How much longer a message is on the wire than it takes to gather it, at least.
constexpr std::int64_t kWirePerGather = 3;

/// Where parts of `total` end that grow from `first` on towards the middle, at one end or at both;
/// the largest, in the middle, is what is left.
std::vector<std::int64_t> ramp(std::int64_t total, std::int64_t first, bool up, bool down) {
  std::vector<std::int64_t> from_start;
  std::vector<std::int64_t> from_end = {total};
  std::int64_t start = 0;
  std::int64_t end = total;
  const std::int64_t sides = (up ? 1 : 0) + (down ? 1 : 0);
  for (std::int64_t part = first; sides > 0 && end - start >= 2 * sides * part;
       part *= kWirePerGather) {
    if (up) from_start.push_back(start += part);
    if (down) from_end.push_back(end -= part);
  }
  from_start.insert(from_start.end(), from_end.rbegin(), from_end.rend());
  return from_start;
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
std::size_t MessageCutter::message_of(const Piece& piece, PairState& pair) const {
  if (!gathers(piece.transfer->source, piece.transfer->destination)) return pair.messages++;
  if (!parts_.empty()) {
    // The middle of the expert says which part it belongs to: parts are in proportion, for every
    // pair.
    const std::int64_t size = piece.range->bytes.count();
    const auto middle = static_cast<double>(pair.sent + size / 2);
    pair.sent += size;
    const double share = middle / static_cast<double>(std::max<std::int64_t>(pair.total, 1));
    const auto part = std::ranges::upper_bound(parts_, share);
    return std::min(static_cast<std::size_t>(part - parts_.begin()), parts_.size() - 1);
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

std::vector<double> MessageCutter::parts_of(const Pairs& pairs, bool starts, bool ends) const {
  if (!cuts_parts()) return {};
  std::map<RankId, std::int64_t> sent;
  std::int64_t most = 1;
  for (const auto& [pair, state] : pairs) {
    if (within_island(pair.first, pair.second)) continue;
    most = std::max(most, sent[pair.first] += state.total);
  }
  std::vector<double> ends_of_parts;
  for (const std::int64_t end : ramp(most, rules_.gather_first.count(), starts, ends)) {
    ends_of_parts.push_back(static_cast<double>(end) / static_cast<double>(most));
  }
  return ends_of_parts;
}

ExchangeOrder MessageCutter::order(const std::vector<UnitWave>& waves, UnitTurn turn) {
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
  std::size_t group_start = 0;
  std::optional<std::uint32_t> group;
  for (std::size_t i = 0; i < order.pieces.size(); ++i) {
    Piece& piece = order.pieces[i];
    const Transfer& transfer = *piece.transfer;
    if (group != transfer.group) {
      // What is relayed in a later group waits for the one before: the wires are idle again.
      const bool starts = turn.first || rules_.one_by_one || group.has_value();
      const bool ends = (turn.last || rules_.one_by_one) && (rules_.cells || direct_);
      group = transfer.group;
      group_start = order.steps;
      pairs = totals_of(std::span(order.pieces).subspan(i));
      parts_ = parts_of(pairs, starts, ends);
    }
    const auto key = std::pair(transfer.source, transfer.destination);
    piece.message = message_of(piece, pairs[key]);
    const bool part = !parts_.empty() && gathers(key.first, key.second);
    const std::size_t at_once = part                                   ? 1
                                : within_island(key.first, key.second) ? rules_.messages_inside
                                                                       : rules_.messages_per_pair;
    piece.step = group_start + piece.message / at_once;
    order.steps = std::max(order.steps, piece.step + 1);
  }
  return order;
}

}  // namespace moeshift
