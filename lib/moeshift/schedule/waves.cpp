// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/waves.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// An expert that a rank takes in, and the slot whose content it drops for it.
struct Intake {
  RankId rank;
  ExpertId expert;
  std::uint32_t slot = 0;
};

bool contains(std::span<const ExpertId> slots, ExpertId expert) {
  return std::find(slots.begin(), slots.end(), expert) != slots.end();
}

class Splitter {
 public:
  Splitter(const LayerSlots& old, const LayerSlots& next, std::size_t experts,
           const WaveLimits& limits)
      : now_(old),
        next_(next),
        limits_(limits),
        readable_(old),
        copies_(experts, 0),
        wanted_by_(experts),
        wanted_(old.rows()) {
    for (const ExpertId expert : old.items()) count_copy(expert);
    for (const RankId rank : next.row_ids()) {
      for (const ExpertId expert : next.row(rank)) {
        if (expert.is_none() || contains(now_.row(rank), expert)) continue;
        if (contains(wanted_[rank], expert)) continue;
        wanted_[rank].push_back(expert);
        wanted_by_[expert].push_back(rank);
      }
    }
  }

  std::optional<std::vector<WaveStep>> split() {
    std::vector<WaveStep> steps;
    while (step()) steps.push_back({readable_, now_});
    if (!arrived()) return std::nullopt;
    return steps;
  }

 private:
  /// @return whether anything moved.
  bool step() {
    budget_.assign(now_.rows(), limits_.buffers);
    receives_.assign(now_.rows(), false);
    readable_ = now_;
    bool moved = limits_.direct && receive_directly();
    for (const RankId rank : now_.row_ids()) {
      while (budget_[rank] > 0 && !wanted_[rank].empty() && follow_chain(rank)) moved = true;
    }
    for (const RankId rank : now_.row_ids()) {
      if (!receives_[rank] && wanted_[rank].empty() && nobody_needs_what_goes(rank)) {
        moved |= settle(rank);
      }
    }
    return moved;
  }

  /// Takes in whatever fits into slots that nobody reads in this step: copies of what they held are
  /// left, or nobody wants it.
  bool receive_directly() {
    bool moved = false;
    readable_copies_ = copies_;
    wanted_now_.assign(copies_.size(), false);
    for (const ExpertId expert : wanted_by_.ids()) {
      wanted_now_[expert] = !wanted_by_[expert].empty();
    }
    for (const RankId rank : now_.row_ids()) {
      // What the rank waits for shrinks as it is taken in.
      for (const ExpertId expert : std::vector<ExpertId>(wanted_[rank])) {
        const std::optional<std::uint32_t> slot = slot_nobody_reads(rank, expert);
        if (!slot) break;
        const ExpertId dropped = now_(rank, SlotId(*slot));
        if (!dropped.is_none()) --readable_copies_[dropped];
        readable_(rank, SlotId(*slot)) = ExpertId::none();
        take_in({rank, expert, *slot});
        moved = true;
      }
    }
    return moved;
  }

  /// A slot to overwrite while the step is staged; the expert's final slot if that is one of them.
  std::optional<std::uint32_t> slot_nobody_reads(RankId rank, ExpertId expert) const {
    return best_slot(rank, expert, [&](ExpertId held) {
      if (held.is_none()) return true;
      return may_go(rank, held) && (readable_copies_[held] > 1 || !wanted_now_[held]);
    });
  }

  /// Takes in something at `start`, then what that drops at a rank that waits for it, and so on
  /// until something is dropped that others hold.
  bool follow_chain(RankId start) {
    chain_.clear();
    RankId rank = start;
    ExpertId expert = wanted_[start].front();
    while (true) {
      if (const auto slot = slot_to_spare(rank, expert)) {
        chain_.push_back({rank, expert, *slot});
        apply(0);
        return true;
      }
      const std::optional<Intake> next = next_link(rank, expert);
      if (!next) return false;
      rank = next->rank;
      expert = next->expert;
      const auto again = std::find_if(chain_.begin(), chain_.end(),
                                      [&](const Intake& i) { return i.rank == rank; });
      if (again == chain_.end()) continue;
      again->expert = expert;  // the cycle feeds itself; what led to it waits
      apply(static_cast<std::size_t>(again - chain_.begin()));
      return true;
    }
  }

  /// Drops an only copy at `rank`; @return who takes that in.
  std::optional<Intake> next_link(RankId rank, ExpertId expert) {
    for (std::uint32_t slot = 0; slot < now_.columns(); ++slot) {
      const ExpertId dropped = now_(rank, SlotId(slot));
      if (dropped.is_none() || contains(next_.row(rank), dropped)) continue;
      for (const RankId taker : wanted_by_[dropped]) {
        if (budget_[taker] == 0) continue;
        chain_.push_back({rank, expert, slot});
        return Intake{taker, dropped, 0};
      }
    }
    return std::nullopt;
  }

  /// A slot of the rank whose content may go; the expert's final slot if that is one of them.
  std::optional<std::uint32_t> slot_to_spare(RankId rank, ExpertId expert) const {
    return best_slot(rank, expert, [&](ExpertId held) { return may_go(rank, held); });
  }

  /// The expert's final slot if its content passes, else the first one that does.
  template <class Passes>
  std::optional<std::uint32_t> best_slot(RankId rank, ExpertId expert, Passes passes) const {
    std::optional<std::uint32_t> spare;
    for (std::uint32_t slot = 0; slot < now_.columns(); ++slot) {
      if (!passes(now_(rank, SlotId(slot)))) continue;
      if (next_(rank, SlotId(slot)) == expert) return slot;
      if (!spare) spare = slot;
    }
    return spare;
  }

  /// Nothing, held twice on the rank or, if the rank shall not keep it, held elsewhere or unwanted.
  bool may_go(RankId rank, ExpertId held) const {
    const auto slots = now_.row(rank);
    if (held.is_none() || std::count(slots.begin(), slots.end(), held) > 1) return true;
    if (contains(next_.row(rank), held)) return false;
    return copies_[held] > 1 || wanted_by_[held].empty();
  }

  /// Makes the chain from its link `first` on happen.
  void apply(std::size_t first) {
    for (std::size_t i = first; i < chain_.size(); ++i) {
      take_in(chain_[i]);
      --budget_[chain_[i].rank];
    }
  }

  void take_in(const Intake& intake) {
    ExpertId& content = now_(intake.rank, SlotId(intake.slot));
    if (!content.is_none()) --copies_[content];
    content = intake.expert;
    ++copies_[intake.expert];
    receives_[intake.rank] = true;
    std::erase(wanted_[intake.rank], intake.expert);
    std::erase(wanted_by_[intake.expert], intake.rank);
  }

  /// True when every slot that `next` fills holds its expert.
  bool arrived() const {
    const auto& now = now_.items();
    const auto& next = next_.items();
    return std::equal(next.begin(), next.end(), now.begin(), [](ExpertId wanted, ExpertId held) {
      return wanted.is_none() || wanted == held;
    });
  }

  /// True when all that the rank shall not keep is held elsewhere or unwanted.
  bool nobody_needs_what_goes(RankId rank) const {
    const auto slots = now_.row(rank);
    return std::all_of(slots.begin(), slots.end(), [&](ExpertId held) {
      if (held.is_none() || contains(next_.row(rank), held)) return true;
      const auto here = std::count(slots.begin(), slots.end(), held);
      return wanted_by_[held].empty() || copies_[held] > static_cast<std::uint32_t>(here);
    });
  }

  /// Puts what the rank has into its final slots, as many cycles of moves as there are buffers.
  bool settle(RankId rank) {
    const std::span<ExpertId> slots = now_.row(rank);
    const std::vector<ExpertId> before(slots.begin(), slots.end());
    const std::vector<std::uint32_t> source = sources_of(rank);
    std::vector<std::uint32_t> opened;  // cycles, by their lowest slot
    for (std::uint32_t slot = 0; slot < source.size(); ++slot) {
      if (source[slot] == slot) continue;
      const std::optional<std::uint32_t> cycle = cycle_behind(source, slot);
      if (cycle && !std::count(opened.begin(), opened.end(), *cycle)) {
        if (opened.size() == limits_.buffers) continue;
        opened.push_back(*cycle);
      }
      slots[slot] = before[source[slot]];
    }
    if (std::equal(before.begin(), before.end(), slots.begin())) return false;
    for (const ExpertId expert : slots) count_copy(expert);
    for (const ExpertId expert : before) {
      if (!expert.is_none()) --copies_[expert];
    }
    return true;
  }

  void count_copy(ExpertId expert) {
    if (!expert.is_none()) ++copies_[expert];
  }

  /// Per slot the slot that holds its final expert; the slot itself where nothing has to change.
  std::vector<std::uint32_t> sources_of(RankId rank) const {
    const auto slots = now_.row(rank);
    std::vector<std::uint32_t> source(slots.size());
    for (std::uint32_t slot = 0; slot < slots.size(); ++slot) {
      source[slot] = slot;
      const ExpertId final_expert = next_(rank, SlotId(slot));
      if (final_expert.is_none() || slots[slot] == final_expert) continue;
      const auto held = std::find(slots.begin(), slots.end(), final_expert);
      source[slot] = static_cast<std::uint32_t>(held - slots.begin());
    }
    return source;
  }

  /// The lowest slot of the cycle that the slot's chain of sources runs into, if it does.
  static std::optional<std::uint32_t> cycle_behind(const std::vector<std::uint32_t>& source,
                                                   std::uint32_t slot) {
    for (std::size_t i = 0; i < source.size(); ++i) slot = source[slot];
    if (source[slot] == slot) return std::nullopt;
    std::uint32_t lowest = slot;
    for (std::uint32_t other = source[slot]; other != slot; other = source[other]) {
      lowest = std::min(lowest, other);
    }
    return lowest;
  }

  LayerSlots now_;
  const LayerSlots& next_;
  WaveLimits limits_;
  LayerSlots readable_;  ///< what this step may read
  IdVector<ExpertId, std::uint32_t> copies_;
  IdVector<ExpertId, std::vector<RankId>> wanted_by_;
  IdVector<RankId, std::vector<ExpertId>> wanted_;  ///< arrivals still to come
  IdVector<RankId, std::uint32_t> budget_;          ///< buffers left in this step
  IdVector<RankId, bool> receives_;                 ///< in this step
  IdVector<ExpertId, std::uint32_t> readable_copies_;
  IdVector<ExpertId, bool> wanted_now_;  ///< when this step began
  std::vector<Intake> chain_;
};

}  // namespace

std::optional<std::vector<WaveStep>> split_into_waves(const LayerSlots& old, const LayerSlots& next,
                                                      std::size_t experts,
                                                      const WaveLimits& limits) {
  auto steps = Splitter(old, next, experts, limits).split();
  MOESHIFT_CHECK(steps || limits.buffers == 0);
  return steps;
}

}  // namespace moeshift
