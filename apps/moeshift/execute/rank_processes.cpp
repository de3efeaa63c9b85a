// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/rank_processes.hpp"

#include <vector>

#include <fmt/format.h>

#include "moeshift/execute/world/launcher.hpp"

#include "apps/moeshift/cli/session.hpp"

namespace moeshift::cli {

ExitCode run_rank_processes(Session& session, const Backend& backend, const WorldRequest& world) {
  const Escort escort = backend.escort != nullptr ? backend.escort(world) : Escort{};
  const std::vector<RankExit> exits =
      launch_ranks({.argv = session.meta().argv,
                    .ranks = world.ranks,
                    .grace = world.timeout * 1.2,
                    .interrupted = [&session] { return session.progress().interrupted(); },
                    .environment = [&escort](RankId) { return escort.environment; }});
  for (const RankExit& exit : exits) {
    if (exit.signal == 0) continue;
    session.warn(fmt::format("rank {}: its process was killed by signal {}{}", exit.rank.value(),
                             exit.signal, exit.by_us ? " (by us: it did not end)" : ""));
  }
  return static_cast<ExitCode>(joint_status(exits));
}

}  // namespace moeshift::cli
