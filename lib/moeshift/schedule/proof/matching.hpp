// SPDX-License-Identifier: Apache-2.0
// The two ends of every message, the calls of every meeting, and the rules about both.
#pragma once

#include <vector>

#include "moeshift/schedule/proof/call_graph.hpp"

namespace moeshift {

/// Fills graph.messages: first in, first out per communicator and ordered pair.
void match_messages(const OperationLists& lists, CallGraph& graph, FindingLog& findings);

/// Fills graph.meetings and graph.meeting_of.
void match_meetings(const OperationLists& lists, CallGraph& graph, FindingLog& findings);

/// Messages per call, and calls that mirror each other. Needs the matches.
void hold_to_rules(const OperationLists& lists, const ProofRules& rules, const CallGraph& graph,
                   FindingLog& findings);

}  // namespace moeshift
