// SPDX-License-Identifier: Apache-2.0
// What a build without NCCL has in its place.
#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/between_nodes.hpp"
#include "moeshift/execute_cuda/collective_load.hpp"

namespace moeshift {

std::unique_ptr<Foreground> make_collective_foreground(ControlPlane& /*control*/,
                                                       Deadline /*deadline*/) {
  throw InputError("foreground", "a collective load needs NCCL, which this build lacks");
}

std::unique_ptr<BetweenNodes> prepare_between_nodes(const CudaSettings& /*settings*/,
                                                    std::optional<std::string> /*host*/) {
  throw InputError("backend", "auto between nodes needs NCCL, which this build lacks");
}

}  // namespace moeshift
