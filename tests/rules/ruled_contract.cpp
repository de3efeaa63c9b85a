// SPDX-License-Identifier: Apache-2.0
// The contract of a transport on the rule-enforcing library: every vendor's, and every rule
// watched.
#include "ruled_worlds.hpp"
#include "tests/contract/contract_worlds.hpp"

namespace moeshift::test {

std::vector<std::string> contract_transports(std::size_t /*ranks*/) {
  return {"nccl", "ce", "peer", "auto", "rccl", "hccl"};
}

std::size_t contract_ranks() {
  return 4;
}

Seconds contract_patience() {
  return Seconds(0.8);
}

std::unique_ptr<World> contract_world(const std::string& transport, std::size_t ranks,
                                      const ContractSetup& setup) {
  return ruled_world(transport, ranks, {.seed = setup.seed, .delay = setup.delay}, setup.drills,
                     setup.settings);
}

std::string contract_findings() {
  return text_of_findings();
}

}  // namespace moeshift::test
