// SPDX-License-Identifier: Apache-2.0
// The options of `moeshift execute`, and what they come to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/cost/felt.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/inputs/move_task.hpp"
#include "apps/moeshift/moves/schedule_options.hpp"

namespace moeshift::cli {

/// Layers first .. last-1 of the placements.
struct LayerRange {
  std::size_t first = 0;
  std::size_t last = 0;
};

struct ExecuteOptions {
  MoveTaskOptions rearrangement;
  std::string backend;  ///< empty: auto where there are GPUs, else host
  std::string layers;
  std::string scale = "1";
  std::string mode = "sync";
  std::string foreground = "none";
  static constexpr std::size_t kCommitsPerStep = 1;
  static constexpr std::size_t kForegroundSteps = 50;
  static constexpr double kForegroundStep = 0.02;
  std::size_t commits_per_step = kCommitsPerStep;
  std::size_t foreground_steps = kForegroundSteps;
  double foreground_step = kForegroundStep;
  ScheduleChoice schedule;
  bool lockstep = false;
  std::size_t repeat = 1;
  bool baseline = false;
  std::optional<double> timeout;
  std::optional<Bytes> pack_below;
  std::optional<Bytes> max_rate;
  std::optional<std::string> timeline;
  std::optional<std::string> journal;
  bool resume = false;
  bool no_verify = false;
  std::optional<std::string> drills;
  std::optional<std::size_t> max_ctas;
  std::optional<std::size_t> commit_ctas;
  std::string commit = "copy";
  std::optional<Bytes> engines_from;
  std::optional<std::size_t> ranks_per_gpu;
  bool no_register = false;
  bool one_round = false;
  bool mps = false;
  bool rank_threads = false;
  bool rank_processes = false;
  std::string rendezvous;
  std::optional<std::string> memory_image;

  void declare(Options& options);
  /// @throws InputError for options that make no sense.
  [[nodiscard]] double scale_share() const;
  /// What bounds a step of the load, if one is asked for.
  [[nodiscard]] std::optional<StepBound> step_bound() const;
  /// The share of multiprocessors that moves experts; nothing where nobody has limited it.
  [[nodiscard]] std::optional<double> staging_share(const Backend& row,
                                                    std::span<const RankOutcome> ranks) const;
  /// The places of the chosen layers. @param ids [layers] the model's own numbers, each once.
  [[nodiscard]] LayerRange layer_range(std::span<const std::int64_t> ids) const;
  /// @param ours where no option says how many.
  [[nodiscard]] std::size_t buffer_sets(std::size_t ours = 2) const;
  /// How our own schedule is made. @throws InputError for options that do not go together.
  /// @param joining what suits the transport.
  [[nodiscard]] ScheduleOptions schedule_options(const Cluster& cluster, Joining joining) const;
  [[nodiscard]] ShuffleOptions shuffle(std::uint64_t seed, Seconds predicted) const;
  /// Seconds that any phase may take, as far as they can be told before there is a plan.
  [[nodiscard]] Seconds joining_timeout() const;
  /// What was given and will not be used by what was asked, one line each.
  [[nodiscard]] std::vector<std::string> unused() const;
  /// What only one transport knows, as it expects it.
  [[nodiscard]] std::map<std::string, std::string> settings() const;
};

}  // namespace moeshift::cli
