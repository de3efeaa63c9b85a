// SPDX-License-Identifier: Apache-2.0
// One run of the calls that goes as far as any run can, and why it stops.
#pragma once

#include <vector>

#include "moeshift/schedule/proof/call_graph.hpp"

namespace moeshift {

/// Told what happens in the run, in its order.
class ExecutionObserver {
 public:
  ExecutionObserver() = default;
  ExecutionObserver(const ExecutionObserver&) = delete;
  ExecutionObserver& operator=(const ExecutionObserver&) = delete;
  virtual ~ExecutionObserver() = default;

  virtual void began(CallIndex call) = 0;
  virtual void ended(CallIndex call) = 0;
};

struct Execution {
  std::vector<bool> began;  ///< [calls]
  std::vector<bool> ended;

  [[nodiscard]] bool complete() const;
};

/// Runs everything that can run: a call begins when all that it waits for on its rank has ended,
/// and ends when all its partners have begun (rendezvous: nothing is buffered).
///
/// Nothing that happens ever keeps something else from happening, so it does not matter what is
/// taken first: every maximal run contains the same calls. O(calls + messages).
[[nodiscard]] Execution execute(const CallGraph& graph, ExecutionObserver& observer);

/// The shortest circle of ranks that wait for each other, once a run has stopped short.
[[nodiscard]] Finding explain_deadlock(const OperationLists& lists, const CallGraph& graph,
                                       const Execution& execution);

}  // namespace moeshift
