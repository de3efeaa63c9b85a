// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/error.hpp"
#include "moeshift/execute_cuda/collective_load.hpp"

namespace moeshift {

std::unique_ptr<Foreground> make_collective_foreground(ControlPlane& /*control*/,
                                                       Deadline /*deadline*/) {
  throw InputError("foreground", "a collective load needs NCCL, which this build lacks");
}

}  // namespace moeshift
