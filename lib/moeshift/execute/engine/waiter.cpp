// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/waiter.hpp"

#include <string>
#include <thread>

#include <fmt/format.h>

namespace moeshift {
namespace {

constexpr Seconds kWorked{20e-6};  // a poll this long did something: ask again at once
constexpr Seconds kSpin{2e-3};     // idle so long before the thread sleeps
constexpr Seconds kLongestNap{5e-3};

std::string names_of(const std::vector<RankId>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  constexpr std::size_t kNamed = 8;
  for (std::size_t i = 0; i < ranks.size() && i < kNamed; ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", ranks[i].value());
  }
  if (ranks.size() > kNamed) text += fmt::format(" and {} more", ranks.size() - kNamed);
  return text;
}

Failure late(RankId self, const WaitTopic& topic, Seconds allowance,
             const std::vector<RankId>& missing) {
  const std::string wanted = fmt::format("no {} within {:.3g} s", topic.wanted, allowance.count());
  if (missing.empty()) return {self, topic.layer, topic.phase, wanted};
  return {missing.front(), topic.layer, topic.phase,
          fmt::format("{} from {} (noticed by rank {})", wanted, names_of(missing), self.value())};
}

}  // namespace

Failure located(Failure failure, const WaitTopic& missed) {
  if (failure.phase != Phase::kSetup || failure.layer) return failure;
  failure.layer = missed.layer;
  failure.phase = missed.phase;
  return failure;
}

void Waiter::until(const Ready& ready, const WaitTopic& topic, Deadline deadline,
                   const Missing& missing) const {
  wait(ready, topic, deadline, missing, true);
}

void Waiter::until(Pending& pending, const WaitTopic& topic, Deadline deadline) const {
  wait([&] { return pending.poll(); }, topic, deadline, [&] { return pending.waiting_for(); },
       true);
}

void Waiter::to_the_end(Pending& pending, const WaitTopic& topic, Deadline deadline) const {
  wait([&] { return pending.poll(); }, topic, deadline, [&] { return pending.waiting_for(); },
       false);
}

void Waiter::to_the_end(const Ready& ready, const WaitTopic& topic, Deadline deadline) const {
  wait(ready, topic, deadline, [] { return std::vector<RankId>(); }, false);
}

void Waiter::wait(const Ready& ready, const WaitTopic& topic, Deadline deadline,
                  const Missing& missing, bool stoppable) const {
  SteadyClock::time_point idle_since = SteadyClock::now();
  while (true) {
    const SteadyClock::time_point asked = SteadyClock::now();
    // Whoever was away himself (a question may start other work) asks once more before he is late.
    const bool last = deadline.expired();
    if (ready()) return;
    if (stoppable) check_stop(topic);
    if (last) {
      throw ShuffleFailure(late(member_.control->self(), topic, deadline.allowance(), missing()));
    }
    if (since(asked) > kWorked) {
      idle_since = SteadyClock::now();
    } else if (member_.idle) {
      member_.idle(std::min(kLongestNap, deadline.left()));
    } else if (since(idle_since) < kSpin) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

void Waiter::check_stop(const WaitTopic& topic) const {
  if (const auto failure = member_.control->failure()) {
    throw ShuffleFailure(located(*failure, topic));
  }
  if (!interrupted_ || !interrupted_()) return;
  throw ShuffleFailure({.rank = member_.control->self(),
                        .layer = topic.layer,
                        .phase = topic.phase,
                        .reason = "interrupted",
                        .interrupted = true});
}

}  // namespace moeshift
