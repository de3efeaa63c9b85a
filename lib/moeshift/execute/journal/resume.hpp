// SPDX-License-Identifier: Apache-2.0
// Where the experts are after all that a journal tells.
#pragma once

#include <functional>
#include <string>

#include "moeshift/execute/journal/journal.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// SHA-256 over shape and slots.
[[nodiscard]] std::string content_hash(const Placement& placement);

/// The plan from a placement to the new one, as the options of the run make it.
/// @param run 1 = the first.
using Replan = std::function<TransferPlan(const Placement& from, std::size_t run)>;

/// Replays every run of `journal` in order: the first begins from `old`, each later one from where
/// the one before it was left; its waves are waves of its own plan. What a run decided to commit is
/// new on every rank: a survivor has brought it to its end, and a rank that died has lost its
/// memory and loads what the result says.
/// @throws InputError "source:line: ..." when the journal is about other placements or made with
///         other options, names a layer or wave that its plan has not, or when the world's shape
///         changes.
[[nodiscard]] Placement placement_after(const Journal& journal, const Placement& old,
                                        const Placement& next, const Replan& replan);

}  // namespace moeshift
