// SPDX-License-Identifier: Apache-2.0
// A summary of routes as a file: docs/routing.md describes every byte.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

/// What the header line of such a file says under "format".
inline constexpr std::string_view kSummaryFormat = "moeshift_routes/1";

/// Writes `summary`, packed by zstd. Equal summaries give equal bytes.
void write_summary(const RouteSummary& summary, std::ostream& out);

/// True when unpacked bytes begin like a summary.
[[nodiscard]] bool looks_like_summary(std::string_view head);

/// Reads unpacked bytes back.
/// @param name what errors call them. @throws InputError naming the header's JSON pointer, or
///        window, layer and byte.
[[nodiscard]] RouteSummary parse_summary(std::string_view bytes, const std::string& name);

}  // namespace moeshift
