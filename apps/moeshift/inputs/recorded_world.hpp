// SPDX-License-Identifier: Apache-2.0
// What a recording says of the world it was made in, so that nobody has to say it again.
#pragma once

#include "moeshift/model/load.hpp"

#include "apps/moeshift/inputs/plan_shape.hpp"

namespace moeshift::cli {

class Session;

/// `shape` with what the recording says where the command line (or a plan) says nothing: ranks;
/// slots and nodes of those ranks; the shipped model of its name, where there is one and only one
/// and it has the trace's layers and experts. What was taken is said in a line.
/// @throws InputError when ranks, nodes or groups are others than the recording's and
///         `allow_different` is not set.
[[nodiscard]] PlanShape with_record(Session& session, PlanShape shape, const TraceHeader& trace);

/// The same, where ranks and slots must be known afterwards.
/// @throws InputError also when nothing says them.
[[nodiscard]] PlanShape whole_shape(Session& session, PlanShape shape, const TraceHeader& trace);

}  // namespace moeshift::cli
