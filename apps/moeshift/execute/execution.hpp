// SPDX-License-Identifier: Apache-2.0
// A run of `moeshift execute` and the figures that are read off it: over all ranks the slowest
// counts.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/execute/shuffle.hpp"

#include "apps/moeshift/execute/execute_phases.hpp"

namespace moeshift::cli {

/// One finished (or failed) run.
struct Execution {
  std::string transport;
  std::string mode;
  const ShuffleJob* job = nullptr;
  TransferCost predicted;          ///< first contact apart: neither in the total nor exposed
  std::vector<RankOutcome> ranks;  ///< of this process, or of all
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<LayerPhases> phases;  ///< of `ranks`
  bool stages_apart = false;        ///< nothing was staged beside a commit
  /// The transport that the machine's figures were measured on; empty: none of ours.
  std::string calibrated_on = {};

  /// What a step of the load should take beside the shuffle, in the mean; none without a load.
  std::optional<Seconds> predicted_step = {};

  /// Within a node auto is peer, or ce where experts are large.
  [[nodiscard]] bool is_calibrated() const {
    return calibrated_on == transport || (transport == "auto" && calibrated_on == "peer");
  }

  [[nodiscard]] std::optional<Failure> failure() const;
  [[nodiscard]] std::uint64_t mismatched_bytes() const;
  /// Every slot of every layer was compared and is right.
  [[nodiscard]] bool verified() const;
  /// The longest of all ranks.
  [[nodiscard]] Seconds longest(Seconds RankTimes::* time) const;
};

/// One layer over all ranks: the slowest counts.
struct LayerFigures {
  Phase phase = Phase::kVerified;
  std::uint32_t epoch_low = 0;
  std::uint32_t epoch_high = 0;
  Seconds stage;  ///< of all ranks together: see LayerPhases
  Seconds vote;
  Seconds commit;  ///< likewise, vote included
  Seconds stage_device;
  Seconds commit_device;
};

[[nodiscard]] LayerFigures figures_of(const Execution& execution, std::size_t layer);
[[nodiscard]] Seconds layer_sum(const Execution& execution, Seconds LayerFigures::* time);

/// Bytes that crossed a link, and bytes that were written: received, staged or committed.
struct Moved {
  Bytes sent;
  Bytes written;
};

[[nodiscard]] Moved moved(const TransferPlan& plan);
/// What all ranks received and copied, by the byte.
[[nodiscard]] Bytes payload(const TransferTotals& totals);

/// Step times of all ranks together.
[[nodiscard]] std::vector<Seconds> steps_of(const Execution& execution,
                                            std::vector<Seconds> RankOutcome::* which);
/// Of every repetition the slowest rank, in order.
[[nodiscard]] std::vector<Seconds> repetitions_of(const Execution& execution);
[[nodiscard]] Seconds percentile(std::vector<Seconds> times, double share);

[[nodiscard]] std::optional<BaselineTimes> baseline_of(const Execution& execution);
/// Bytes that all ranks send per second, in the better of the two plain exchanges.
[[nodiscard]] double best_of(const BaselineTimes& baseline, std::size_t ranks);
/// Bytes per second that all ranks together copy inside their memory, an expert at a time.
[[nodiscard]] double copying_rate(const BaselineTimes& baseline, std::size_t ranks);

/// "layer 1, rank 2, slot 3 (expert 17): 1 wrong byte, the first at offset 0", a line each.
[[nodiscard]] std::vector<std::string> fault_lines(const Execution& execution, std::size_t most);
/// Which layers of the local ranks are new and which old, for the message of a failure.
[[nodiscard]] std::string survey_line(const Execution& execution);
}  // namespace moeshift::cli
