// SPDX-License-Identifier: Apache-2.0
// A proof, or what is wrong with a schedule, for people and for programs.
#pragma once

#include <string>

#include "moeshift/report/report.hpp"
#include "moeshift/schedule/proof/operations.hpp"
#include "moeshift/schedule/proof/prove.hpp"

namespace moeshift::cli {

/// @param schedule whose order it is: "best", "vllm", ..., or the name of the file of calls.
/// @param rules "nccl", "hccl" or "mpi".
[[nodiscard]] Report check_schedule_report(const std::string& schedule, const std::string& rules,
                                           const OperationLists& lists, const Proof& proof);

}  // namespace moeshift::cli
