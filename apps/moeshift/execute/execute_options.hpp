// SPDX-License-Identifier: Apache-2.0
// The options of `moeshift execute`, and what they come to.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/inputs/rearrangement.hpp"
#include "apps/moeshift/moves/schedule_options.hpp"

namespace moeshift::cli {

/// Layers first .. last-1 of the placements.
struct LayerRange {
  std::size_t first = 0;
  std::size_t last = 0;
};

struct ExecuteOptions {
  RearrangementOptions rearrangement;
  std::string backend = "host";
  std::string layers;
  std::string scale = "1";
  std::string mode = "sync";
  std::string foreground = "none";
  std::size_t commits_per_step = 1;
  std::size_t foreground_steps = 50;
  double foreground_step = 0.02;
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
  std::optional<std::size_t> ranks_per_gpu;
  bool register_buffers = false;
  bool mps = false;
  bool rank_threads = false;
  bool rank_processes = false;
  std::string rendezvous;

  void declare(Options& options);
  /// @throws InputError for options that make no sense.
  [[nodiscard]] double scale_share() const;
  [[nodiscard]] LayerRange layer_range(std::size_t layers_of_model) const;
  [[nodiscard]] std::size_t buffer_sets() const;
  /// How our own schedule is made. @throws InputError for options that do not go together.
  /// @param join_below what suits the transport.
  [[nodiscard]] ScheduleOptions schedule_options(const Cluster& cluster, Bytes join_below) const;
  [[nodiscard]] ShuffleOptions shuffle(std::uint64_t seed, Seconds predicted) const;
  /// What only one transport knows, as it expects it.
  [[nodiscard]] std::map<std::string, std::string> settings() const;
};

}  // namespace moeshift::cli
