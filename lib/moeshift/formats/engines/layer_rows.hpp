// SPDX-License-Identifier: Apache-2.0
// The layers of a placement one by one, while an export chooses, adds and orders them: what
// belongs to a layer stays together. Internal to formats/engines.
#pragma once

#include <cstdint>
#include <vector>

#include "moeshift/formats/placement_format.hpp"

namespace moeshift {

struct LayerRow {
  std::int64_t id = 0;            ///< the model's own number, else the place in the file
  std::vector<ExpertId> slots;    ///< [slots]
  std::vector<double> load = {};  ///< [experts], or empty: nothing says it
};

[[nodiscard]] std::vector<LayerRow> rows_of(const PlacementFile& file);

/// `file` with these layers instead of its own. Loads stay known where one layer's is: those of
/// the others are 0, which repairs take for unknown.
[[nodiscard]] PlacementFile of_rows(PlacementFile file, const std::vector<LayerRow>& rows);

/// Expert `slot % experts` in every slot: what engines do with a layer that nobody planned.
[[nodiscard]] std::vector<ExpertId> trivial_slots(const Placement& placement);

}  // namespace moeshift
