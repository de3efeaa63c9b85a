// SPDX-License-Identifier: Apache-2.0
// Time limit and Ctrl-C for planners: they end with the best answer they have.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "moeshift/core/interrupted.hpp"
#include "moeshift/core/progress.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// Passes progress on; interrupted once the time is up, or when the user asked to stop, which the
/// progress behind it may tell by throwing.
class PlanDeadline final : public Progress {
 public:
  /// Counts from now.
  PlanDeadline(Progress& behind, std::optional<Seconds> limit) : behind_(behind) {
    if (!limit) return;
    const std::chrono::duration<double> time(limit->count());
    end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
  }

  void update(std::string_view what, std::uint64_t done, std::uint64_t total) override {
    if (stopped()) return;
    try {
      behind_.update(what, done, total);
    } catch (const InterruptedError&) {
      stopped_.store(true);
    }
  }
  [[nodiscard]] bool interrupted() const override {
    return stopped() || (end_ && Clock::now() >= *end_);
  }
  /// The user asked to stop.
  [[nodiscard]] bool stopped() const { return stopped_.load() || behind_.interrupted(); }

 private:
  using Clock = std::chrono::steady_clock;

  Progress& behind_;
  std::optional<Clock::time_point> end_;
  std::atomic<bool> stopped_ = false;
};

/// A planner every plan of which ends when its time is up.
class TimeLimitedPlanner final : public Planner {
 public:
  TimeLimitedPlanner(std::unique_ptr<Planner> planner, Seconds limit)
      : planner_(std::move(planner)), limit_(limit) {}

  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override {
    PlanDeadline deadline(progress, limit_);
    return planner_->plan(problem, threads, deadline);
  }

 private:
  std::unique_ptr<Planner> planner_;
  Seconds limit_;
};

}  // namespace moeshift
