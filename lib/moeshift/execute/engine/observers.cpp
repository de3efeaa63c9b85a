// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/observers.hpp"

#include <string>

#include <fmt/format.h>

namespace moeshift {
namespace {

std::string_view category_of(Stretch::Kind kind) {
  switch (kind) {
    case Stretch::Kind::kStage:
      return "stage";
    case Stretch::Kind::kVote:
      return "vote";
    case Stretch::Kind::kCommit:
      return "commit";
    case Stretch::Kind::kVerify:
      break;
  }
  return "verify";
}

/// Two batches may be staged at once: each has a row of its own.
std::string track_of(const Stretch& stretch) {
  if (stretch.kind != Stretch::Kind::kStage) return std::string(category_of(stretch.kind));
  return stretch.set % 2 == 0 ? "stage, even buffers" : "stage, odd buffers";
}

Seconds seconds(SteadyClock::duration duration) {
  return Seconds(std::chrono::duration<double>(duration).count());
}

}  // namespace

void Observers::departs(const Departure& departure) {
  for (ShuffleObserver* observer : all_) observer->departs(departure);
}

void Observers::reached(const LayerStep& step) {
  for (ShuffleObserver* observer : all_) observer->reached(step);
}

void Observers::begins(const Stretch& stretch) {
  for (ShuffleObserver* observer : all_) observer->begins(stretch);
}

void Observers::ends(const Stretch& stretch) {
  for (ShuffleObserver* observer : all_) observer->ends(stretch);
}

void Observers::issues(RankId rank, std::size_t unit) {
  for (ShuffleObserver* observer : all_) observer->issues(rank, unit);
}

void Observers::votes(RankId rank, std::size_t committed, std::size_t staged) {
  for (ShuffleObserver* observer : all_) observer->votes(rank, committed, staged);
}

void Observers::progressed(RankId rank, std::string_view what, std::size_t done,
                           std::size_t total) {
  for (ShuffleObserver* observer : all_) observer->progressed(rank, what, done, total);
}

void Observers::ended(RankId rank, const std::optional<Failure>& failure) {
  for (ShuffleObserver* observer : all_) observer->ended(rank, failure);
}

void TimelineObserver::ends(const Stretch& stretch) {
  timeline_.spans.push_back(
      {timeline_.track(fmt::format("rank {}", stretch.rank.value()), track_of(stretch)),
       stretch.name,
       std::string(category_of(stretch.kind)),
       seconds(stretch.start - start_),
       seconds(stretch.end - stretch.start),
       {}});
}

void ProfilerObserver::begins(const Stretch& stretch) {
  if (!member_.range_begin || stretch.kind == Stretch::Kind::kVote) return;
  ranges_[{stretch.kind, stretch.index}] =
      member_.range_begin(fmt::format("{} {}", category_of(stretch.kind), stretch.name));
}

void ProfilerObserver::ends(const Stretch& stretch) {
  const auto range = ranges_.find({stretch.kind, stretch.index});
  if (range == ranges_.end()) return;
  if (member_.range_end) member_.range_end(range->second);
  ranges_.erase(range);
}

}  // namespace moeshift
