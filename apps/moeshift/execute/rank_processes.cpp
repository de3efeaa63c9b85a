// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/rank_processes.hpp"

#include <csignal>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/interrupted.hpp"
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
  const bool interrupted = session.progress().interrupted();
  for (const RankExit& exit : exits) {
    const bool asked = interrupted && (exit.signal == SIGINT || exit.signal == SIGTERM);
    if (exit.signal == 0 || asked) continue;
    session.warn(fmt::format("rank {}: its process was killed by signal {}{}", exit.rank.value(),
                             exit.signal, exit.by_us ? " (by us: it did not end)" : ""));
  }
  const auto status = static_cast<ExitCode>(joint_status(exits, interrupted));
  if (status == ExitCode::kInterrupted) throw InterruptedError();
  return status;
}

}  // namespace moeshift::cli
