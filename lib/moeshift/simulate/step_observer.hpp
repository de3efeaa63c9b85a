// SPDX-License-Identifier: Apache-2.0
// Who wants to see single steps of a lane: the timeline.
#pragma once

#include <cstdint>
#include <vector>

#include "moeshift/cost/serving_model.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/simulate/rearrangement_run.hpp"

namespace moeshift {

/// One served step as it went.
struct ServedStep {
  std::uint64_t number = 0;
  std::uint64_t recording = 0;  ///< recorded step that it is a pass of, from the lane's first
  Seconds start;                ///< of the stall, since the first step
  Seconds stall;                ///< at the boundary, outage included
  Seconds outage;               ///< ranks failing, joining or leaving
  Seconds served;               ///< the step itself, contention included
  RearrangementPhase phase = RearrangementPhase::kIdle;  ///< after the boundary
  std::vector<LayerId> committed;                        ///< at the boundary
  Seconds quiet;              ///< planning beside the step, from its start
  Seconds busy;               ///< then staging beside the step
  BytesByLink stage_bytes{};  ///< which links staging uses
};

class StepObserver {
 public:
  StepObserver() = default;
  StepObserver(const StepObserver&) = delete;
  StepObserver& operator=(const StepObserver&) = delete;
  virtual ~StepObserver() = default;

  virtual void served(const ServedStep& step, const LoadMatrix& load,
                      const std::vector<LayerDispatch>& dispatch, const ServingModel& model) = 0;
};

}  // namespace moeshift
