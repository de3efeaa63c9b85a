// SPDX-License-Identifier: Apache-2.0
// The listeners that every rank has: all of them as one, the timeline, the profiler.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/observer.hpp"
#include "moeshift/model/timeline.hpp"

namespace moeshift {

/// Passes everything on, in the order in which they were added.
class Observers final : public ShuffleObserver {
 public:
  void add(ShuffleObserver& observer) { all_.push_back(&observer); }

  void departs(const Departure& departure) override;
  void reached(const LayerStep& step) override;
  void begins(const Stretch& stretch) override;
  void ends(const Stretch& stretch) override;
  void issues(RankId rank, std::size_t unit) override;
  void votes(RankId rank, std::size_t committed, std::size_t staged) override;
  void progressed(RankId rank, std::string_view what, std::size_t done, std::size_t total) override;
  void ended(RankId rank, const std::optional<Failure>& failure) override;

 private:
  std::vector<ShuffleObserver*> all_;
};

/// Draws every stretch into a timeline, in seconds since `start` (which may move).
class TimelineObserver final : public ShuffleObserver {
 public:
  TimelineObserver(Timeline& timeline, const SteadyClock::time_point& start)
      : timeline_(timeline), start_(start) {}

  void ends(const Stretch& stretch) override;

 private:
  Timeline& timeline_;
  const SteadyClock::time_point& start_;
};

/// Marks every stretch but votes as a range of the member's profiler, where it has one.
class ProfilerObserver final : public ShuffleObserver {
 public:
  explicit ProfilerObserver(const Member& member) : member_(member) {}

  void begins(const Stretch& stretch) override;
  void ends(const Stretch& stretch) override;

 private:
  const Member& member_;
  std::map<std::pair<Stretch::Kind, std::size_t>, std::uint64_t> ranges_;
};

}  // namespace moeshift
