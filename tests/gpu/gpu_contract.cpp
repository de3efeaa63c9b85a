// SPDX-License-Identifier: Apache-2.0
// The contract of a transport on this machine's GPUs. What stores into peers' memory may have many
// ranks on one GPU; NCCL wants a GPU for each rank that is a thread.
#include <algorithm>

#include "gpu_support.hpp"
#include "tests/contract/contract_worlds.hpp"
#include "tests/support/drilled.hpp"

namespace moeshift::test {
namespace {

std::size_t visible_gpus() {
  const DeviceRuntime& runtime = *cuda_platform().runtime;
  return runtime.unavailable_reason().empty() ? runtime.visible_devices() : 0;
}

}  // namespace

std::vector<std::string> contract_transports(std::size_t ranks) {
  const std::size_t gpus = visible_gpus();
  if (gpus == 0) return {};
  std::vector<std::string> transports = {"ce", "peer"};
  for (const char* name : {"nccl", "auto"}) {
    const bool runs = gpus >= ranks && find_backend(name).unavailable_reason().empty();
    if (runs) transports.emplace_back(name);
  }
  return transports;
}

std::size_t contract_ranks() {
  const std::size_t gpus = visible_gpus();
  return gpus < 2 ? 4 : std::min<std::size_t>(4, gpus);
}

Seconds contract_patience() {
  return Seconds(4.0);  // communicators of several GPUs are opened meanwhile
}

std::unique_ptr<World> contract_world(const std::string& transport, std::size_t ranks,
                                      const ContractSetup& setup) {
  WorldRequest request;
  request.ranks = ranks;
  request.settings = setup.settings;
  request.settings["threads"] = "";
  return drilled(find_backend(transport).open(request), setup.drills);
}

std::string contract_findings() {
  return "";
}

}  // namespace moeshift::test
