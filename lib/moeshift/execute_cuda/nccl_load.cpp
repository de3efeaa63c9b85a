// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/collective_load.hpp"
#include "moeshift/execute_cuda/nccl_foreground.hpp"

namespace moeshift {
namespace {

/// What a rank sends each other one in a step.
constexpr Bytes kStepBytes(std::int64_t{1} << 20U);

}  // namespace

std::unique_ptr<Foreground> make_collective_foreground(ControlPlane& control, Deadline deadline) {
  return std::make_unique<NcclForeground>(
      join_communicator(control, {.name = "moeshift-foreground"}, deadline), control.self(),
      kStepBytes, deadline);
}

}  // namespace moeshift
