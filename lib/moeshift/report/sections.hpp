// SPDX-License-Identifier: Apache-2.0
// Result files as what people look at, whatever command made them.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/html.hpp"
#include "moeshift/report/report_text.hpp"

namespace moeshift {

/// The view of an envelope; of one without (schema /1) every figure under its path.
/// @throws InputError "source#/schema: ..." for a document that is no result.
[[nodiscard]] PageSection section_of(const nlohmann::ordered_json& envelope,
                                     const std::string& source);

/// Sections one after another under their titles, with all that pages show.
void write_sections_markdown(std::ostream& out, std::span<const PageSection> sections);
void write_sections_terminal(std::ostream& out, std::span<const PageSection> sections,
                             const Style& style);
void write_sections_csv(std::ostream& out, std::span<const PageSection> sections);

/// [{"source", "command", "origin", "date", "view"}, ...]
[[nodiscard]] nlohmann::ordered_json sections_json(std::span<const PageSection> sections);

}  // namespace moeshift
