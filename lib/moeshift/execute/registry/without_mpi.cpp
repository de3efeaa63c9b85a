// SPDX-License-Identifier: Apache-2.0
// The mpi row of a build that found no MPI.
#include "moeshift/core/error.hpp"
#include "moeshift/execute/backend.hpp"

namespace moeshift {
namespace {

std::string not_built() {
  return "this build has no MPI; install Open MPI (libopenmpi-dev) and build again";
}

Launch launch_nothing(const WorldRequest&) {
  throw InputError("--backend", not_built());
}

std::unique_ptr<World> open_nothing(const WorldRequest&) {
  throw InputError("--backend", not_built());
}

}  // namespace

Backend mpi_backend() {
  return {.name = "mpi",
          .summary = "ranks are processes of any number of machines, weights in host memory",
          .unavailable_reason = &not_built,
          .launch = &launch_nothing,
          .open = &open_nothing};
}

}  // namespace moeshift
