// SPDX-License-Identifier: Apache-2.0
// Every policy under every setting of a comparison.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/judge/held_out.hpp"
#include "moeshift/plan/planner.hpp"

#include "apps/moeshift/compare/compare_options.hpp"
#include "apps/moeshift/compare/compare_windows.hpp"

namespace moeshift::cli {

class Session;

class ComparisonRows {
 public:
  ComparisonRows(Session& session, const CompareOptions& question, const ComparisonWindows& windows)
      : session_(session), question_(question), windows_(windows) {}

  /// Every number of slots with every training window; one policy after another, each with all
  /// threads, so that planning times mean what `plan` means by them.
  [[nodiscard]] std::vector<ComparisonRow> of_settings() const;

  /// Every number of slots with every history, side by side.
  /// @throws InputError when the trace has fewer windows than the longest history.
  [[nodiscard]] std::vector<ComparisonRow> of_replay() const;

 private:
  struct ReplayJob {
    std::size_t slots, history, policy;  ///< indices
  };

  [[nodiscard]] PlannedFor planned_for(std::size_t slots) const;
  [[nodiscard]] Comparison set_up(std::size_t slots) const;
  [[nodiscard]] std::vector<std::unique_ptr<Planner>> make_planners(
      const PlannedSteps& steps) const;
  [[nodiscard]] std::vector<ReplayJob> replay_jobs() const;
  [[nodiscard]] std::vector<ComparisonRow> replayed_rows(
      const std::vector<ReplayJob>& jobs, const std::vector<PolicyReplay>& replays) const;
  [[nodiscard]] std::string forecast_text() const;
  [[nodiscard]] std::string windows_text(std::size_t count) const;
  [[nodiscard]] std::string setting_text(std::size_t slots, const std::string& planned_on) const;

  Session& session_;
  const CompareOptions& question_;
  const ComparisonWindows& windows_;
};

}  // namespace moeshift::cli
