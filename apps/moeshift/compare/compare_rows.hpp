// SPDX-License-Identifier: Apache-2.0
// Every policy under every setting of a comparison.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
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
  /// @param own routes of the trace, or null.
  ComparisonRows(Session& session, CompareOptions& question, const ComparisonWindows& windows,
                 const ComparisonRoutes* own)
      : session_(session), question_(question), windows_(windows), own_(own) {}

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
  /// A policy as it is made for some steps.
  struct Entrant {
    std::string policy;
    bool spares_network = false;
    std::unique_ptr<Planner> planner;
  };
  [[nodiscard]] std::vector<Entrant> make_planners(const PlannedSteps& steps,
                                                   bool with_routes) const;
  [[nodiscard]] std::optional<ComparedRoutes> routes_of(std::size_t train, std::size_t slots) const;
  [[nodiscard]] std::vector<ReplayJob> replay_jobs() const;
  [[nodiscard]] std::vector<ComparisonRow> replayed_rows(
      const std::vector<ReplayJob>& jobs, const std::vector<PolicyReplay>& replays) const;
  [[nodiscard]] std::string forecast_text() const;
  [[nodiscard]] std::string windows_text(std::size_t count) const;
  [[nodiscard]] std::string setting_text(std::size_t slots, const std::string& planned_on) const;

  Session& session_;
  CompareOptions& question_;  ///< its routes are read when they are first asked for
  const ComparisonWindows& windows_;
  const ComparisonRoutes* own_;
};

}  // namespace moeshift::cli
