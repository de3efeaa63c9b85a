// SPDX-License-Identifier: Apache-2.0
// A recording without time in it, the commonest file: what can still be said, and what cannot.
#pragma once

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/progress.hpp"
#include "moeshift/simulate/diagnosis.hpp"

namespace moeshift {

struct RecordingQuestion {
  const LoadMatrix& load;     ///< [layers, experts] (token, expert) pairs of all that was recorded
  const Placement& without;   ///< rebalancing
  std::size_t slots = 0;      ///< with it
  double pairs_per_step = 0;  ///< of a layer: the size of a forward pass
  DispatchOptions dispatch = {};
};

/// Says whether one plan would pay if the traffic stayed as it is: a static plan or leave off, and
/// never firm, since one recording cannot show how traffic moves.
///
/// Out of sample as far as can be: every count is split by fair coins into two halves (thinning; of
/// independent tokens these are independent), a plan made on one half serves the other, and the
/// other way round, several times. `held_out` has the mean saving and its range over the halvings.
/// @param planner one that needs no old placement. Deterministic by `options.seed`.
/// @throws what the planner throws.
[[nodiscard]] Diagnosis diagnose_recording(const RecordingQuestion& question,
                                           const Deployment& deployment, const Planner& planner,
                                           const DiagnosisOptions& options, Threads threads,
                                           Progress& progress);

}  // namespace moeshift
