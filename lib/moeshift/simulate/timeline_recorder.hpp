// SPDX-License-Identifier: Apache-2.0
// Some steps of a lane as a picture: the same schema as the executor's.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/model/timeline.hpp"
#include "moeshift/simulate/step_observer.hpp"

namespace moeshift {

/// Records the steps [first, last): the steps and what interrupts them, per rank the tracks that
/// the executor has ("stage", "commit") and its expert work, per class of link what is staged over
/// it. Spans of one track follow each other.
class TimelineRecorder final : public StepObserver {
 public:
  TimelineRecorder(std::uint64_t first, std::uint64_t last) : first_(first), last_(last) {}

  void served(const ServedStep& step, const LoadMatrix& load,
              const std::vector<LayerDispatch>& dispatch, const ServingModel& model) override;

  [[nodiscard]] const Timeline& timeline() const { return timeline_; }

 private:
  void add(const std::string& process, const std::string& track, std::string name,
           const char* category, Seconds start, Seconds duration,
           std::vector<std::pair<std::string, std::string>> arguments = {});
  void add_ranks(const ServedStep& step, const std::string& boundary, const LoadMatrix& load,
                 const std::vector<LayerDispatch>& dispatch, const ServingModel& model);

  std::uint64_t first_;
  std::uint64_t last_;
  Timeline timeline_;
};

}  // namespace moeshift
