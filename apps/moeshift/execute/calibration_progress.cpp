// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/calibration_progress.hpp"

#include <string_view>

namespace moeshift::cli {

CalibrationProgress::CalibrationProgress(Progress& progress, ProbeJob& job) : progress_(progress) {
  double turn = 0;
  for (const auto& exchange : job.exchanges) {
    for (const ProbeTransfer& transfer : exchange) {
      turn += static_cast<double>(transfer.bytes.count());
    }
  }
  // Copied by one rank alone, and by all at once.
  for (const Bytes copy : job.copies) turn += 2 * static_cast<double>(copy.count());
  for (std::size_t i = 0; i <= job.repetitions; ++i) ends_.push_back(whole() + turn);
  for (Rehearsal& rehearsal : job.rehearsals) {
    const ShuffleWork work = work_of(rehearsal.job, rehearsal.options);
    inside_.emplace_back(work, [this, before = whole()](std::string_view, double done) {
      tell_progress(progress_, "measuring", before + done, whole());
    });
    rehearsal.options.observers.push_back(&inside_.back());
    ends_.push_back(whole() + work.whole());
  }
  job.progressed = [this](std::size_t done, std::size_t /*total*/) {
    tell_progress(progress_, "measuring", ends_.at(done - 1), whole());
  };
}

}  // namespace moeshift::cli
