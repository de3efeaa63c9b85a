// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/report.hpp"

#include <algorithm>
#include <ostream>

#include <nlohmann/json.hpp>

#include "moeshift/core/shown_text.hpp"
#include "moeshift/report/report_text.hpp"
#include "moeshift/report/view.hpp"

namespace moeshift {

using Json = nlohmann::ordered_json;

Report::Report(std::string command, std::string title)
    : command_(std::move(command)), result_(std::make_unique<Json>(Json::object())) {
  view_.title = shown_lines(title);
}

void Report::note(const std::string& text) {
  view_.blocks.emplace_back(Note{shown_lines(text)});
}

Report::Report(Report&&) noexcept = default;
Report& Report::operator=(Report&&) noexcept = default;
Report::~Report() = default;

void Report::about(std::string what, std::string text) {
  if (!text.empty()) view_.about.emplace_back(std::move(what), std::move(text));
}

void Report::add(Block block) {
  const bool empty = std::visit(
      [](const auto& content) {
        using Content = std::decay_t<decltype(content)>;
        if constexpr (std::is_same_v<Content, Tiles>) return content.items.empty();
        if constexpr (std::is_same_v<Content, Table>) return content.rows.empty();
        if constexpr (std::is_same_v<Content, Detail>) return content.table.rows.empty();
        if constexpr (std::is_same_v<Content, Chart>) return content.data.rows.empty();
        if constexpr (std::is_same_v<Content, HeatMap>) return content.values.empty();
        return false;
      },
      block);
  if (!empty) view_.blocks.push_back(std::move(block));
}

Json envelope(const Report& report, const ResultMeta& meta) {
  Json inputs = Json::array();
  for (const InputFile& input : meta.inputs) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  Json document;
  document["schema"] = "moeshift." + report.command() + "/2";
  document["meta"] = {{"argv", meta.argv},
                      {"version", meta.version},
                      {"git", meta.git},
                      {"seed", meta.seed},
                      {"inputs", std::move(inputs)}};
  document["result"] = report.result();
  View view = report.view();
  for (const auto& what : meta.about) {
    if (std::find(view.about.begin(), view.about.end(), what) == view.about.end())
      view.about.push_back(what);
  }
  document["view"] = view_json(view, report.result());
  return document;
}

void write_report(std::ostream& out, const Report& report, const ResultMeta& meta,
                  const Style& style) {
  switch (style.format) {
    case Format::kJson:
      write_compact_json(out, envelope(report, meta));
      break;
    case Format::kCsv:
      write_csv(out, report.blocks(), Depth::kAnswer);
      break;
    case Format::kMarkdown:
      write_markdown(out, report.blocks(), Depth::kAnswer);
      break;
    case Format::kTable:
      write_terminal(out, report.blocks(), Depth::kAnswer, style);
      break;
  }
}

}  // namespace moeshift
