// SPDX-License-Identifier: Apache-2.0
// Faults on purpose, so that what must happen then is tested and not hoped for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/execute/control_plane.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// One fault. Layers are those of the plan (their own numbers).
struct FaultDrill {
  enum class Kind : std::uint8_t {
    kCorrupt,   ///< flips a byte of a live slot after its layer's commit
    kKill,      ///< SIGKILL to the own process
    kSleep,     ///< the rank stops doing anything for a while
    kHash,      ///< the rank says another plan hash
    kLose,      ///< the rank sends nothing from this layer on
    kError,     ///< the transport reports an error
    kMemory,    ///< the rank finds no memory
    kInterrupt  ///< as if the user had pressed Ctrl-C
  };
  Kind kind = Kind::kCorrupt;
  RankId rank;
  LayerId layer;
  Phase phase = Phase::kStaging;  ///< kStaging, kStaged (about to vote), kVoted (about to commit)
  std::size_t slot = 0;           ///< the rank's own slot number
  Seconds duration{0.0};
};

/// Reads "corrupt:layer,rank,slot", "kill:rank,layer,phase", "sleep:rank,layer,phase,seconds",
/// "hash:rank", "lose:rank,layer", "error:rank,layer", "memory:rank", "interrupt:rank,layer,phase"
/// with phase one of staging, voting, committing.
/// @throws InputError naming --inject.
[[nodiscard]] FaultDrill parse_fault_drill(const std::string& text);

/// Several of them, joined by '+'.
[[nodiscard]] std::vector<FaultDrill> parse_fault_drills(const std::string& text);

/// A fault that cannot strike proves nothing.
/// @throws InputError for a rank, slot or layer that the plan does not have.
void refuse_idle_drills(const std::vector<FaultDrill>& drills, const TransferPlan& plan);

}  // namespace moeshift
