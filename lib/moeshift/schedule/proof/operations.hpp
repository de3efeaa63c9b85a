// SPDX-License-Identifier: Apache-2.0
// What every rank does, call by call: the form in which any engine's rearrangement can be proven.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// Bytes [offset, offset + bytes) of a live slot or of a staging buffer of one rank.
struct Region {
  Place place;
  /// The layer of a live slot. A buffer belongs to no layer: for whom it is used, in words only.
  LayerId layer;
  Bytes offset;
  Bytes bytes;

  bool operator==(const Region&) const = default;
};

/// One end of a message: what is read when sending, written when receiving.
struct MessageEnd {
  RankId peer;
  Region memory;

  bool operator==(const MessageEnd&) const = default;
};

enum class OperationKind : std::uint8_t {
  kExchange,     ///< one call that sends and receives: ncclGroupStart .. End, batch_isend_irecv
  kCopy,         ///< inside the rank
  kMeeting,      ///< nobody leaves before all have come: barrier, vote, all-reduce
  kRecord,       ///< the event stands for all that its stream has been given so far
  kWait,         ///< what follows on the stream waits for the event, as it was last recorded
  kSynchronize,  ///< what follows on any stream waits for everything so far
};

/// One call of one rank. The calls of a rank are listed in the order in which its thread issues
/// them; those of one stream run one after another, streams run side by side.
struct Operation {
  OperationKind kind = OperationKind::kCopy;
  std::uint32_t stream = 0;
  std::uint32_t communicator = 0;  ///< of exchanges and meetings
  std::uint32_t event = kNoEvent;  ///< of record and wait; of an exchange that nobody waits for yet
  LayerId layer = LayerId::none();
  std::uint32_t wave = 0;            ///< of the layer: what is voted on as one
  std::vector<MessageEnd> sends;     ///< in the order of the call
  std::vector<MessageEnd> receives;  ///< likewise
  Region from;                       ///< of a copy
  Region to;

  static constexpr std::uint32_t kNoEvent = std::numeric_limits<std::uint32_t>::max();

  /// An exchange with an event runs beside what follows on its stream, until somebody waits.
  [[nodiscard]] bool runs_beside() const {
    return kind == OperationKind::kExchange && event != kNoEvent;
  }
  bool operator==(const Operation&) const = default;
};

struct Communicator {
  std::string name;
  std::vector<RankId> members;  ///< ascending
  /// Its meetings take the device, as collectives do; a vote of hosts does not. Exchanges always
  /// do.
  bool on_device = true;

  bool operator==(const Communicator&) const = default;
};

/// The whole rearrangement.
struct OperationLists {
  IdVector<RankId, std::vector<Operation>> of_rank;
  std::vector<std::string> streams;  ///< their names, by Operation::stream
  std::vector<Communicator> communicators;
  std::vector<std::string> events;
  /// No live slot of a layer (of a wave of it) may be written before every rank has staged it: what
  /// a vote is for.
  bool votes = false;
  /// The model's own numbers of the layers, for words; empty: they are counted from 0.
  std::vector<std::int64_t> layer_numbers;
  /// Staging memory that each rank was promised; empty = nothing was said.
  IdVector<RankId, Bytes> staging_bytes;

  [[nodiscard]] std::size_t ranks() const { return of_rank.size(); }
  /// What people call a layer.
  [[nodiscard]] std::int64_t number_of(LayerId layer) const {
    return layer.index() < layer_numbers.size() ? layer_numbers[layer.index()]
                                                : std::int64_t{layer.value()};
  }
  bool operator==(const OperationLists&) const = default;
};

}  // namespace moeshift
