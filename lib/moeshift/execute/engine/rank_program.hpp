// SPDX-License-Identifier: Apache-2.0
// What one rank does to carry out its part of a transfer plan, with every address worked out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/execute/pattern.hpp"
#include "moeshift/execute/transport.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// The blocks of memory a rank has. All but the live one exist once per buffer set.
enum class Area : std::uint8_t {
  kLive,     ///< [layers][slots per rank] slots: what the model reads
  kStaging,  ///< experts on their way in
  kSend,     ///< gathered outgoing experts
  kLanding,  ///< gathered incoming experts that do not stay side by side
};

/// A place in one of the areas; the offset is from the start of the area (of its buffer set).
struct Address {
  Area area = Area::kLive;
  std::int64_t offset = 0;

  bool operator==(const Address&) const = default;
};

/// One expert copied inside the rank.
struct ExpertCopy {
  Address from;
  Address to;
  Bytes bytes;
};

struct PlannedMessage {
  RankId peer;
  Direction direction = Direction::kSend;
  Address address;
  Bytes bytes;
};

/// One call of Transport::exchange; the same step of the same unit meets on both sides.
struct ExchangeStep {
  std::vector<ExpertCopy> gather;  ///< into the send area first
  std::vector<PlannedMessage> messages;
  std::vector<ExpertCopy> scatter;  ///< out of the landing area, once all has arrived
  /// Sends what an earlier step of this unit received, or receives where one may have sent from.
  bool relays = false;
};

/// The commit of one layer (of one wave of it).
struct LayerCommit {
  std::size_t layer = 0;  ///< index into TransferPlan::layers
  std::size_t wave = 0;
  bool last_wave = true;
  /// Copies of one pass are independent of each other; passes run in order.
  std::vector<std::vector<ExpertCopy>> passes;
};

/// What is staged together and then committed, layer after layer.
struct StagingUnit {
  std::vector<ExpertCopy> stage;
  std::vector<ExchangeStep> steps;  ///< as many on every rank
  std::vector<LayerCommit> layers;
  bool follows_wave = false;  ///< reads what the unit before commits, on any rank
};

struct RankProgram {
  std::vector<StagingUnit>
      units;  ///< as many on every rank; layers that stay as they are have none
  std::int64_t slots_per_rank = 0;         ///< of the live area: the larger of old and new
  std::vector<std::int64_t> slot_bytes;    ///< [layers] a slot takes its layer's largest expert
  std::vector<std::int64_t> first_offset;  ///< [layers] where its slots begin in the live area
  Bytes live;                              ///< size of the live area
  Bytes staging_set;                       ///< size of one set of staging buffers
  Bytes send_set;                          ///< size of one set of send buffers
  Bytes landing_set;                       ///< size of one set of landing buffers
  Bytes cell;  ///< what a live slot and a staged expert take, where these change places; else 0
  std::vector<RankId> send_to;  ///< peers, ascending
  std::vector<RankId> receive_from;

  [[nodiscard]] std::int64_t live_offset(std::size_t layer, std::uint32_t slot) const {
    return first_offset[layer] + slot * slot_bytes[layer];
  }
  /// All the memory this rank takes with `buffers` sets.
  [[nodiscard]] Bytes memory(std::size_t buffers) const {
    const Bytes set = staging_set + send_set + landing_set;
    return live + pointers() + set * static_cast<std::int64_t>(buffers);
  }
  /// The table of slots: a pointer each, where they change places.
  [[nodiscard]] Bytes pointers() const {
    return cell.count() == 0
               ? Bytes()
               : Bytes(live.count() / cell.count() * static_cast<std::int64_t>(sizeof(void*)));
  }
  /// Takes as much memory as another program of the same world would, too, and has its peers.
  void reserve_for(const RankProgram& other);
};

/// How experts become messages of at most plan.chunk_bytes (if any), cut at multiples of
/// kTensorAlignment; the same on every rank.
struct MessageRules {
  /// Experts smaller than this, going from one rank to the same other one in one group, become a
  /// single message: gathered at the source, staged side by side; where they have to lie apart,
  /// because they go to their slots at once or slots change places, the receiver spreads them.
  /// Never in a plan that says how many messages carry one expert.
  Bytes pack_below{0};
  Bytes gather_first{0};  ///< as TransportTraits
  /// No unit is staged beside another one (one set of buffers, or lockstep): each finds idle wires.
  bool one_by_one = false;
  /// Messages of one pair and direction that an exchange may hold, >= 1. The k-th message of every
  /// pair is in exchange k / messages_per_pair of its group, on both sides: a transport has nothing
  /// left to cut, and cannot cut it differently on two ranks (nccl: a group of too many messages
  /// per pair deadlocks).
  std::size_t messages_per_pair = 1;
  std::vector<std::uint32_t> islands = {};  ///< as TransportTraits
  std::size_t messages_inside = 1;          ///< likewise
  /// Tensors of an expert do not lie side by side everywhere: no message holds parts of two of
  /// them. Nothing is gathered then.
  bool by_tensor = false;
  /// A staged expert takes a place as large as a slot, so that the two can change roles.
  bool cells = false;
};

/// Works out `self`'s part of `plan`.
/// @param layout plan.sizes is layout.sizes(); an expert's tensors are messages of their own when
///        plan.messages_per_expert > 0. With rules.cells all layers have slots of one size.
/// Complexity: O(moves of the plan * log).
[[nodiscard]] RankProgram make_rank_program(const TransferPlan& plan, RankId self,
                                            const ExpertLayouts& layout, const MessageRules& rules);

}  // namespace moeshift
