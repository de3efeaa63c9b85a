// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/nccl/collective_load.hpp"
#include "moeshift/execute_cuda/nccl/nccl_foreground.hpp"

namespace moeshift {
namespace {

/// What a rank sends each other one in a step.
constexpr Bytes kStepBytes(std::int64_t{1} << 20U);

}  // namespace

std::unique_ptr<Foreground> make_collective_foreground(const Platform& platform,
                                                       ControlPlane& control, Deadline deadline) {
  if (platform.collectives == nullptr) {
    throw InputError("foreground", "a collective load needs NCCL");
  }
  return std::make_unique<NcclForeground>(
      *platform.runtime,
      join_communicator(control, *platform.collectives, {.name = "moeshift-foreground"}, deadline),
      control.self(), kStepBytes, deadline);
}

}  // namespace moeshift
