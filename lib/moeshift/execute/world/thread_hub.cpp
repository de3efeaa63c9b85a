// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/world/thread_hub.hpp"

#include <utility>

namespace moeshift {
namespace {

class ThreadGathering final : public Gathering {
 public:
  ThreadGathering(std::shared_ptr<ThreadHub> hub, std::shared_ptr<ThreadHub::Round> round)
      : hub_(std::move(hub)), round_(std::move(round)) {}

  bool poll() override { return hub_->complete(*round_); }
  const std::vector<std::string>& values() const override { return round_->values; }
  std::vector<RankId> waiting_for() const override { return hub_->missing(*round_); }

 private:
  std::shared_ptr<ThreadHub> hub_;
  std::shared_ptr<ThreadHub::Round> round_;
};

}  // namespace

ThreadHub::ThreadHub(std::size_t ranks) : next_round_(ranks, 0) {
  for (std::size_t rank = 0; rank < ranks; ++rank) bells_.push_back(std::make_unique<Bell>());
}

std::shared_ptr<ThreadHub::Round> ThreadHub::speak(RankId rank, std::string_view value) {
  bool complete = false;
  std::shared_ptr<Round> round;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t index = next_round_[rank]++;
    std::shared_ptr<Round>& open = rounds_[index];
    if (!open)
      open = std::make_shared<Round>(
          Round{std::vector<std::string>(size()), std::vector<bool>(size()), 0});
    round = open;
    round->values[rank.index()] = value;
    round->spoken[rank.index()] = true;
    complete = ++round->count == size();
    if (complete) rounds_.erase(index);
  }
  if (complete) ring_all();
  return round;
}

bool ThreadHub::complete(const Round& round) const {
  const std::lock_guard lock(mutex_);
  return round.count == size();
}

std::vector<RankId> ThreadHub::missing(const Round& round) const {
  const std::lock_guard lock(mutex_);
  std::vector<RankId> ranks;
  for (const RankId rank : all_ids<RankId>(size())) {
    if (!round.spoken[rank.index()]) ranks.push_back(rank);
  }
  return ranks;
}

void ThreadHub::fail(const Failure& failure) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = failure;
  }
  ring_all();
}

std::optional<Failure> ThreadHub::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void ThreadHub::ring(RankId rank) {
  Bell& bell = *bells_[rank.index()];
  {
    const std::lock_guard lock(bell.mutex);
    bell.rung = true;
  }
  bell.signal.notify_one();
}

void ThreadHub::ring_all() {
  for (const RankId rank : all_ids<RankId>(size())) ring(rank);
}

void ThreadHub::sleep(RankId rank, Seconds at_most) {
  Bell& bell = *bells_[rank.index()];
  std::unique_lock lock(bell.mutex);
  bell.signal.wait_for(lock, std::chrono::duration<double>(at_most.count()),
                       [&bell] { return bell.rung; });
  bell.rung = false;
}

std::unique_ptr<Gathering> ThreadControl::all_gather(std::string_view mine) {
  return std::make_unique<ThreadGathering>(hub_, hub_->speak(self_, mine));
}

}  // namespace moeshift
