// SPDX-License-Identifier: Apache-2.0
// The parts of the planner's evidence; each prints a table. `plan_quality PART` runs one.
#pragma once

namespace moeshift::quality {

void gaps();    ///< fresh plans against EPLB and a certified bound
void times();   ///< what fresh plans of 58 layers take, on one thread and on two
void warm();    ///< the same of plans from an old placement
void soft();    ///< groups on home nodes: hard and soft
void oos();     ///< recordings, scored on what was not planned on
void drift();   ///< synthetic drift: balance and transfers, re-planning every window
void budget();  ///< one budget over all layers against an equal one each
void kinds();   ///< `robust` against its rivals on eighteen kinds of traffic and all recordings
void noise();   ///< `incremental` on one noisy window at a time
void shapes();  ///< every policy of ours on every shape against the better of EPLB and no move
void tuned();   ///< every number of plan/tuned.hpp again, at half and at twice its value
void scale();   ///< 94 layers x 512 experts on 1,024 ranks x 4,096 slots

}  // namespace moeshift::quality
