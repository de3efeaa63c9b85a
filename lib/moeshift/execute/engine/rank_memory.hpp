// SPDX-License-Identifier: Apache-2.0
// A rank's live experts and its staging buffers, and what they should contain.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "moeshift/execute/caller_weights.hpp"
#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute/engine/rank_program.hpp"
#include "moeshift/execute/engine/slot_table.hpp"
#include "moeshift/execute/shuffle.hpp"

namespace moeshift {

class RankMemory {
 public:
  /// Allocates everything the rank will ever need, but the live slots where they are the caller's.
  /// @throws InfeasibleError when it does not fit.
  RankMemory(DeviceMemory& memory, const RankProgram& program, const ShuffleJob& job, RankId self,
             const ShuffleOptions& options);
  /// The same blocks, used by another program for another job; neither is larger than the first's.
  RankMemory(const RankMemory& same, const RankProgram& program, const ShuffleJob& job);

  [[nodiscard]] std::byte* at(const Address& address, std::size_t set) const;
  [[nodiscard]] std::byte* live_slot(std::size_t layer, std::size_t slot) const;
  /// Where a tensor of the caller's weights begins.
  [[nodiscard]] std::byte* tensor(std::size_t layer, std::size_t slot, std::size_t tensor) const {
    return weights_->tensor(self_, layer, slot, tensor);
  }
  /// The rank's own number of the slot that begins there.
  [[nodiscard]] std::size_t slot_at(std::size_t layer, const std::byte* start) const;
  /// The whole live area, of the engine's own.
  [[nodiscard]] std::span<std::byte> live() const;

  /// Copies between places of one buffer set.
  [[nodiscard]] std::vector<CopyRequest> copies(const std::vector<ExpertCopy>& copies,
                                                std::size_t set) const;
  [[nodiscard]] std::vector<Message> messages(const std::vector<PlannedMessage>& messages,
                                              std::size_t set) const;

  /// Slots and staging places change roles in a commit.
  [[nodiscard]] bool flips() const { return slots_ != nullptr; }
  /// The commit of a layer in that case; only the table of pointers is left to be changed.
  [[nodiscard]] SlotTable::Flip flip(const LayerCommit& commit, std::size_t set) const {
    return slots_->flip(flips_.at(&commit), set);
  }
  /// Whether bytes must be copied for that, of experts that two slots hold.
  [[nodiscard]] bool flip_copies(const LayerCommit& commit) const {
    return !flips_.at(&commit).copies.empty();
  }
  /// That table, in device memory: [layers * slots per rank].
  [[nodiscard]] std::byte* pointers() const { return pointers_; }

  /// What this rank's slots of a layer hold after so many committed waves, [slots_per_rank];
  /// none() = nothing that matters.
  [[nodiscard]] std::vector<ExpertId> contents(std::size_t layer, std::size_t waves) const;
  /// The same as patterns to fill or verify, those of one layout together. Where slots change
  /// roles they are found through the table in device memory, as a model would find them.
  struct Tasks {
    const SlotLayout* layout = nullptr;
    std::vector<PatternTask> tasks;
  };
  [[nodiscard]] std::vector<Tasks> tasks(std::size_t layer, std::size_t waves) const;

  /// Writes the table of pointers; null where there is none.
  [[nodiscard]] std::unique_ptr<Pending> start_pointers() const;
  /// All that is the engine's, to be poisoned before start_fill() writes the experts that a layer
  /// holds before it begins. In pieces: the first touch of much memory takes long, and somebody
  /// may watch.
  [[nodiscard]] std::vector<std::span<std::byte>> poisonable() const;
  [[nodiscard]] std::vector<std::unique_ptr<Pending>> start_fill(std::size_t layer) const;

 private:
  DeviceMemory& memory_;
  const RankProgram& program_;
  const ShuffleJob& job_;
  RankId self_;
  std::uint64_t seed_;
  const CallerWeights* weights_ = nullptr;  ///< null: the slots are in `live_`
  /// A run of the caller's memory: as much of an expert as lies in one piece.
  struct Piece {
    std::byte* start = nullptr;
    std::int64_t bytes = 0;
  };
  [[nodiscard]] Piece piece(const Address& address, std::size_t set) const;
  void add_copies(const ExpertCopy& copy, std::size_t set,
                  std::vector<CopyRequest>& requests) const;
  void make_slots();
  void plan_flips();
  [[nodiscard]] std::vector<std::byte*> slots_of(std::size_t layer) const;

  std::byte* live_ = nullptr;
  std::vector<std::byte*> staging_;               ///< by set
  std::vector<std::byte*> send_;                  ///< by set
  std::vector<std::byte*> landing_;               ///< by set
  std::byte* pointers_ = nullptr;                 ///< the table, where slots change roles
  std::shared_ptr<SlotTable> slots_;              ///< likewise; one for all jobs
  std::map<const LayerCommit*, FlipPlan> flips_;  ///< of the program
};

}  // namespace moeshift
