// SPDX-License-Identifier: Apache-2.0
// A report as text: terminal, CSV, Markdown, and JSON that people can still read.
#pragma once

#include <iosfwd>
#include <span>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/report.hpp"

namespace moeshift {

/// How much of a view: what a command answers, or also what only pages show (large figures,
/// details, charts as the tables they are drawn from).
enum class Depth { kAnswer, kPage };

/// Aligned columns. A table wider than the style's width is written as one block of "column value"
/// lines per row, so that nothing is cut off or wrapped in the middle.
void write_terminal(std::ostream& out, std::span<const Block> blocks, Depth depth,
                    const Style& style);

/// RFC 4180: every table with a header line of its own, raw figures, an empty line between tables.
/// Prose is left out.
void write_csv(std::ostream& out, std::span<const Block> blocks, Depth depth);

/// GitHub-flavoured tables; prose becomes paragraphs.
void write_markdown(std::ostream& out, std::span<const Block> blocks, Depth depth);

/// Two-space indentation, but arrays of plain values on one line: a [layers][slots] map stays a
/// map to the eye. Ends with a newline. Throws nothing; non-finite numbers become null.
void write_compact_json(std::ostream& out, const nlohmann::ordered_json& document);

}  // namespace moeshift
