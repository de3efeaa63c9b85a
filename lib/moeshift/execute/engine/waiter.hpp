// SPDX-License-Identifier: Apache-2.0
// The only place where a rank waits: it watches for failures, Ctrl-C and the deadline meanwhile.
#pragma once

#include <functional>
#include <vector>

#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"

namespace moeshift {

/// What a wait is about, for the message when it fails.
struct WaitTopic {
  std::optional<LayerId> layer = std::nullopt;
  Phase phase = Phase::kSetup;
  const char* wanted = "";  ///< "a vote", "experts"
};

/// `failure` where it was missed, if who only hung up could not say where it was.
[[nodiscard]] Failure located(Failure failure, const WaitTopic& missed);

class Waiter {
 public:
  Waiter(Member& member, std::function<bool()> interrupted)
      : member_(member), interrupted_(std::move(interrupted)) {}

  using Ready = std::function<bool()>;
  using Missing = std::function<std::vector<RankId>()>;

  /// Calls ready() until it says true.
  /// @param missing whose part is outstanding, asked when the time is up.
  /// @throws ShuffleFailure when a failure is known, the user stops, or the time is up.
  void until(const Ready& ready, const WaitTopic& topic, Deadline deadline,
             const Missing& missing) const;
  void until(Pending& pending, const WaitTopic& topic, Deadline deadline) const;
  /// As until(), but only its own deadline can end it: what has begun is brought to its end
  /// although a peer failed or the user wants to stop.
  void to_the_end(Pending& pending, const WaitTopic& topic, Deadline deadline) const;
  void to_the_end(const Ready& ready, const WaitTopic& topic, Deadline deadline) const;

 private:
  void wait(const Ready& ready, const WaitTopic& topic, Deadline deadline, const Missing& missing,
            bool stoppable) const;
  void check_stop(const WaitTopic& topic) const;

  Member& member_;
  std::function<bool()> interrupted_;
};

}  // namespace moeshift
