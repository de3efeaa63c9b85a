// SPDX-License-Identifier: Apache-2.0
// Charts for those who see no picture: Markdown, terminals, browsers without scripts.
#pragma once

#include "moeshift/report/blocks.hpp"

namespace moeshift {

/// All values of a small map; of a large one least, mean and most of each row, and where the most
/// is.
[[nodiscard]] Table table_of(const HeatMap& map);

}  // namespace moeshift
