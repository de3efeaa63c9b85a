// SPDX-License-Identifier: Apache-2.0
// Ranks that fail, join or leave while a trace is served.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/layer_text.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift {

/// Takes effect at the boundary before served step `step` (counted from 0).
struct WorldEvent {
  enum class Kind : std::uint8_t {
    kFail,    ///< `rank` and its memory are gone; its tokens start on the survivors
    kResize,  ///< ranks 0 .. ranks-1 serve from now on; they join with empty slots, or leave after
              ///< what only they held has moved
  };
  Kind kind = Kind::kFail;
  std::uint64_t step = 0;
  RankId rank;            ///< kFail
  std::size_t ranks = 0;  ///< kResize
};

/// "3@1000": rank 3 fails before step 1000. @throws InputError for another form.
[[nodiscard]] WorldEvent parse_failure(std::string_view spec);
/// "16@2000": 16 ranks from step 2000 on. @throws InputError for another form.
[[nodiscard]] WorldEvent parse_resize(std::string_view spec);

/// What an event did to a lane.
struct WorldEventRecord {
  WorldEvent event;
  std::size_t ranks_serving = 0;  ///< afterwards
  std::size_t experts_lost = 0;   ///< (layer, expert) pairs whose last holder went
  Seconds reload;                 ///< stall: reading those from storage
  Seconds stall;                  ///< stall: what moved between ranks, for a resize
};

/// An expert that must be read from storage, and where it goes.
struct Reload {
  LayerId layer;
  ExpertId expert;
  SlotId slot;
};

/// `placement` without what the ranks that are not `active` [ranks] hold.
[[nodiscard]] Placement without_ranks(const Placement& placement, const std::vector<bool>& active);

/// Where experts that lost their last holder can be read into: an empty slot of an active rank,
/// else the slot of an expert that has most replicas left, spread over ranks. O(lost * slots).
/// @throws InfeasibleError when the active ranks have fewer slots than there are experts.
[[nodiscard]] std::vector<Reload> plan_reloads(const Placement& placement,
                                               const std::vector<bool>& active);

/// "layer 3: experts 5, 7; layer 4: expert 9 and 12 layers more"
[[nodiscard]] LayerText describe(const std::vector<Reload>& reloads);

}  // namespace moeshift
