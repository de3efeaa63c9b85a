// SPDX-License-Identifier: Apache-2.0
// The nccl row of a build that found no NCCL.
#include "moeshift/core/error.hpp"
#include "moeshift/execute/backend.hpp"

namespace moeshift {
namespace {

std::string not_built() {
  return "this build has no NCCL; install the CUDA toolkit and NCCL and build again";
}

Launch launch_nothing(const WorldRequest&) {
  throw InputError("--backend", not_built());
}

std::unique_ptr<World> open_nothing(const WorldRequest&) {
  throw InputError("--backend", not_built());
}

}  // namespace

Backend nccl_backend() {
  return {.name = "nccl",
          .summary = "ncclSend and ncclRecv groups on a non-blocking communicator of its own",
          .unavailable_reason = &not_built,
          .launch = &launch_nothing,
          .open = &open_nothing};
}

}  // namespace moeshift
