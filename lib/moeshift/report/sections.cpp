// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/sections.hpp"

#include <ostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/report/metric_path.hpp"
#include "moeshift/report/regression.hpp"
#include "moeshift/report/view.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

/// "moeshift plan ... (moeshift 0.2.0)"
std::string origin_of(const JsonReader& envelope) {
  const auto meta = envelope.find("meta");
  const auto argv = meta ? meta->find("argv") : std::nullopt;
  if (!argv || !argv->is_array()) return "";
  std::string command;
  for (const JsonReader& word : argv->items()) {
    command += (command.empty() ? "" : " ") + word.string();
  }
  const auto version = meta->find("version");
  if (command.empty() || !version || !version->is_string()) return command;
  return fmt::format("{}  (moeshift {})", command, version->string());
}

View every_figure(const Json& result) {
  Table table{"", {"figure", "value"}, {}};
  for (const MetricLeaf& leaf : leaves_of(result)) {
    const std::string shown =
        leaf.value->is_string() ? leaf.value->get<std::string>() : leaf.value->dump();
    table.rows.push_back(
        {Cell::text(join_path(leaf.path)), {shown, shown, leaf.value->is_number(), {}}});
  }
  View view;
  view.blocks.emplace_back(Note{"made by a version whose results have no view: every figure"});
  view.blocks.emplace_back(std::move(table));
  return view;
}

std::string title_of(const PageSection& section) {
  return section.view.title.empty() ? section.command : section.view.title;
}

}  // namespace

PageSection section_of(const Json& envelope, const std::string& source) {
  const JsonReader reader(envelope, source);
  PageSection section;
  section.source = source;
  section.command = command_of(envelope, source);
  section.origin = origin_of(reader);
  const JsonReader result = reader.at("result");
  const auto view = reader.find("view");
  section.view = view ? read_view(*view) : every_figure(result.raw());
  return section;
}

void write_sections_markdown(std::ostream& out, std::span<const PageSection> sections) {
  for (const PageSection& section : sections) {
    if (&section != sections.data()) out << '\n';
    out << "## " << title_of(section) << "\n\n";
    for (const auto& [what, text] : section.view.about) out << what << ": " << text << "  \n";
    out << "file: " << section.source << "\n\n";
    write_markdown(out, section.view.blocks, Depth::kPage);
  }
}

void write_sections_terminal(std::ostream& out, std::span<const PageSection> sections,
                             const Style& style) {
  for (const PageSection& section : sections) {
    if (&section != sections.data()) out << '\n';
    out << section.source << ": " << title_of(section) << '\n';
    write_terminal(out, section.view.blocks, Depth::kPage, style);
  }
}

void write_sections_csv(std::ostream& out, std::span<const PageSection> sections) {
  for (const PageSection& section : sections) {
    if (&section != sections.data()) out << "\r\n";
    write_csv(out, section.view.blocks, Depth::kPage);
  }
}

Json sections_json(std::span<const PageSection> sections) {
  Json list = Json::array();
  for (const PageSection& section : sections) {
    list.push_back({{"source", section.source},
                    {"command", section.command},
                    {"origin", section.origin},
                    {"date", section.date},
                    {"view", view_json(section.view, Json::object())}});
  }
  return list;
}

}  // namespace moeshift
