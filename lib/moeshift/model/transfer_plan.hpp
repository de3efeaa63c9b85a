// SPDX-License-Identifier: Apache-2.0
// What moves when one placement becomes another: copies, transfers, rounds and buffers.
// Made by schedule/, priced by cost/, performed by execute/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/expert_sizes.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

/// A place for one expert's weights on one rank, for one layer: a live slot or a staging buffer.
struct Place {
  enum class Kind : std::uint8_t { kLive, kStaging };
  Kind kind = Kind::kLive;
  std::uint32_t index = 0;  ///< the rank's own slot number, or its buffer number

  auto operator<=>(const Place&) const = default;
};

/// A copy that stays on one rank.
struct LocalCopy {
  RankId rank;
  ExpertId expert;
  Place from;
  Place to;

  auto operator<=>(const LocalCopy&) const = default;
};

/// One expert's weights sent from one rank to another.
struct Transfer {
  ExpertId expert;
  RankId source;
  Place from;
  RankId destination;
  Place to;
  LinkClass link = LinkClass::kIntraNode;
  /// Counted per port class (intra-node and inter-node ports work side by side): transfers of one
  /// class and round have distinct sources and distinct destinations.
  std::uint32_t round = 0;
  /// Transfers of one group are issued together and waited for once. A group is a run of rounds of
  /// each class; a transfer that reads what another one delivers, or that overwrites what another
  /// one reads, comes in a later group.
  std::uint32_t group = 0;

  auto operator<=>(const Transfer&) const = default;
};

/// A part of a layer that is staged and committed as one; a layer has one wave unless its staging
/// budget forces more.
struct Wave {
  std::vector<LocalCopy> stage_copies;   ///< live -> staging, before anything live is overwritten
  std::vector<Transfer> transfers;       ///< by group, round, source, destination, expert
  std::vector<LocalCopy> commit_copies;  ///< staging or live -> live, in this order per rank

  /// Groups of transfers: one more than the largest, 0 without transfers.
  [[nodiscard]] std::size_t groups() const;
  /// One more than the largest round of any transfer, 0 without.
  [[nodiscard]] std::size_t rounds() const;
};

struct LayerMoves {
  LayerId layer;
  std::vector<Wave> waves;  ///< none: the layer stays as it is
};

/// Layers [first, first + count) of TransferPlan::layers, exchanged together (group g of a batch is
/// group g of all its layers) and committed one after another. Staging buffers of one batch are
/// numbered jointly: no two layers of it share one.
struct LayerBatch {
  std::size_t first = 0;
  std::size_t count = 1;
};

/// The whole rearrangement. Deterministic: equal inputs give equal plans and hashes.
struct TransferPlan {
  std::size_t ranks = 0;  ///< of the larger of the two worlds
  std::size_t experts = 0;
  std::size_t old_slots_per_rank = 0;
  std::size_t new_slots_per_rank = 0;
  std::size_t old_ranks = 0;
  std::size_t new_ranks = 0;
  ExpertSizes sizes;  ///< of plan.layers[i] under LayerId(i)
  /// Messages that carry one expert; 0 = all that a pair exchanges in a group is one message.
  std::uint32_t messages_per_expert = 0;
  /// With messages_per_expert 0: such a message is cut into pieces of at most this; 0 = it is not.
  Bytes chunk_bytes;
  std::vector<LayerMoves> layers;                 ///< every layer once, ascending
  std::vector<LayerBatch> batches;                ///< covers `layers` in order
  IdVector<RankId, std::uint32_t> staging_slots;  ///< buffers per rank for one batch in flight
  std::string hash;                               ///< SHA-256 over all of the above

  [[nodiscard]] Bytes size_of(std::size_t layer, ExpertId expert) const {
    return sizes(LayerId(layer), expert);
  }
};

/// Adds what lands in staging buffers in one wave of `layer` to `used`.
void add_staging_bytes(const Wave& wave, const ExpertSizes& sizes, LayerId layer,
                       IdVector<RankId, Bytes>& used);

/// What every rank needs in staging buffers for one batch in flight: a buffer is as large as what
/// lands in it. O(moves).
[[nodiscard]] IdVector<RankId, Bytes> staging_bytes(const TransferPlan& plan);

/// Counts over a plan, or over one layer of it.
struct TransferTotals {
  std::size_t local_copies = 0;  ///< changed slots whose expert was on their rank already
  std::size_t transfers = 0;
  std::array<std::size_t, kLinkClasses> transfers_by_link{};
  std::array<Bytes, kLinkClasses> bytes_by_link{};
  std::size_t rounds = 0;  ///< summed over waves
  /// Summed over rounds and waves: the largest expert of each round, of the port class in which
  /// that is most. What a port moves that is busy in every round.
  Bytes round_bytes;

  TransferTotals& operator+=(const TransferTotals& other);
};

/// @param layer index into plan.layers.
[[nodiscard]] TransferTotals totals_of(const TransferPlan& plan, std::size_t layer);
[[nodiscard]] TransferTotals totals_of(const TransferPlan& plan);

/// Hash over everything in the plan but the hash itself.
[[nodiscard]] std::string content_hash(const TransferPlan& plan);

}  // namespace moeshift
