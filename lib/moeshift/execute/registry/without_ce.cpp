// SPDX-License-Identifier: Apache-2.0
// The ce row of a build that found no CUDA.
#include "moeshift/core/error.hpp"
#include "moeshift/execute/backend.hpp"

namespace moeshift {
namespace {

std::string not_built() {
  return "this build has no CUDA; install the CUDA toolkit and build again";
}

Launch launch_nothing(const WorldRequest&) {
  throw InputError("--backend", not_built());
}

std::unique_ptr<World> open_nothing(const WorldRequest&) {
  throw InputError("--backend", not_built());
}

}  // namespace

Backend ce_backend() {
  return {.name = "ce",
          .summary = "copies over CUDA peer access and IPC; launches no kernel",
          .unavailable_reason = &not_built,
          .launch = &launch_nothing,
          .open = &open_nothing};
}

}  // namespace moeshift
