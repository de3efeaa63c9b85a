// SPDX-License-Identifier: Apache-2.0
// Staging of several units at once, each in a buffer set of its own.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/engine/rank_memory.hpp"
#include "moeshift/execute/engine/rank_program.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/model/rearrangement.hpp"

namespace moeshift {

/// A unit on its way into a buffer set.
struct Flight {
  std::size_t unit = 0;
  std::size_t set = 0;
  std::unique_ptr<Pending> stage;   ///< local copies; null once finished
  std::unique_ptr<Pending> gather;  ///< for the next step; null if none is under way
  /// An exchange, then what spreads its experts out of the landing area.
  struct Arrival {
    std::unique_ptr<Pending> work;
    const std::vector<ExpertCopy>* scatter = nullptr;  ///< null: none, or under way
  };
  std::deque<Arrival> exchanges;
  std::size_t next_step = 0;
  Seconds device{0.0};  ///< that the device was at copies and exchanges, by its own clock
  SteadyClock::time_point started;
  std::optional<SteadyClock::time_point> staged;  ///< when the last byte had arrived
};

/// Told when a unit's staging begins and ends, so that it can be journalled and drawn.
struct PipelineEvents {
  std::function<void(const Flight&)> begins;
  std::function<void(const Flight&)> issues;  ///< its first exchange is about to be started
  std::function<void(const Flight&)> staged;
};

/// The state machine says which unit may be staged next and is told when one is staged; votes and
/// commits are the caller's. Exchanges are issued in the order of (unit, step) on every rank, which
/// is all that first-in first-out matching needs; local work and arrivals of later units go on
/// meanwhile.
class Pipeline {
 public:
  Pipeline(Member& member, const RankProgram& program, const RankMemory& memory,
           const ShuffleOptions& options, Rearrangement& machine, PipelineEvents events);

  /// Makes progress everywhere.
  void advance();

  [[nodiscard]] const Flight& front() const { return flights_.front(); }
  /// The unit that is `behind` after the front.
  [[nodiscard]] const Flight& flight(std::size_t behind) const { return flights_[behind]; }
  /// The front unit is committed: its buffers may be used again.
  void pop();
  /// Every rank has committed all units before this one.
  void committed_everywhere(std::size_t units) { committed_everywhere_ = units; }
  /// The unit that advance() was busy with when it threw.
  [[nodiscard]] std::optional<std::size_t> busy_with() const { return busy_with_; }
  /// Peers that the front unit still waits for.
  [[nodiscard]] std::vector<RankId> waiting_for() const;

 private:
  void launch();
  void step(Flight& flight, bool may_issue);
  [[nodiscard]] bool ready_to_issue(Flight& flight, const ExchangeStep& step);
  void issue(Flight& flight, const ExchangeStep& step);
  void collect_arrivals(Flight& flight);
  [[nodiscard]] bool paced(const ExchangeStep& step);
  [[nodiscard]] std::size_t staged() const;

  Member& member_;
  const RankProgram& program_;
  const RankMemory& memory_;
  const ShuffleOptions& options_;
  Rearrangement& machine_;
  PipelineEvents events_;
  std::deque<Flight> flights_;
  std::size_t committed_everywhere_ = 0;
  std::optional<std::size_t> busy_with_;
  SteadyClock::time_point next_send_;  ///< pacing: no step before this
};

}  // namespace moeshift
