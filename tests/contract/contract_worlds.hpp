// SPDX-License-Identifier: Apache-2.0
// Where the contract of a transport is asked: on the rule-enforcing library (tests/rules), or on
// the GPUs of this machine (tests/gpu). Both define these functions; the questions are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/execute/backend.hpp"

namespace moeshift::test {

/// How a world is opened. Ranks are threads of this process.
struct ContractSetup {
  std::uint64_t seed = 0;   ///< of delays and reorderings, where they can be made
  std::uint64_t delay = 8;  ///< how long they are at most, likewise
  std::string drills = {};  ///< as --fault has them; empty: none
  std::map<std::string, std::string> settings = {};
};

/// Transports that can serve so many ranks here; none where there is no device.
[[nodiscard]] std::vector<std::string> contract_transports(std::size_t ranks);
/// Ranks that a world has where the question does not ask for a number.
[[nodiscard]] std::size_t contract_ranks();
/// What an exchange that nothing delays has time for; twice that is surely too long.
[[nodiscard]] Seconds contract_patience();
[[nodiscard]] std::unique_ptr<World> contract_world(const std::string& transport, std::size_t ranks,
                                                    const ContractSetup& setup = {});
/// Rules that were broken since the last world was opened, leaks of a world that has gone included,
/// a line each; always empty where nobody watches.
[[nodiscard]] std::string contract_findings();

}  // namespace moeshift::test
