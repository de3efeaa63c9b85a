// SPDX-License-Identifier: Apache-2.0
// Rank outcomes as text, to travel between processes.
#pragma once

#include <string>

#include "moeshift/execute/shuffle.hpp"

namespace moeshift {

[[nodiscard]] std::string to_text(const RankOutcome& outcome);
/// @throws InputError when `text` is not what to_text() writes.
[[nodiscard]] RankOutcome outcome_from_text(const std::string& text);

}  // namespace moeshift
