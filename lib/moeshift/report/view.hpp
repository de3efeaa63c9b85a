// SPDX-License-Identifier: Apache-2.0
// The view of a result as JSON, and back: what `moeshift report` draws without knowing the command.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/report/report.hpp"

namespace moeshift {

/// {"title", "about", "figures", "blocks"}: `figures` declares the figures that `result` has. A
/// cell is null, a text, a number in its column's unit, or [shown, raw] where that is not all of
/// it.
[[nodiscard]] nlohmann::ordered_json view_json(const View& view,
                                               const nlohmann::ordered_json& result);

/// One block as it stands in the view.
[[nodiscard]] nlohmann::ordered_json block_json(const Block& block);

/// The inverse: equal text in every format.
/// @throws InputError naming the place of what is no view.
[[nodiscard]] View read_view(const JsonReader& view);

}  // namespace moeshift
