// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/html.hpp"

#include <algorithm>
#include <ostream>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/report/chart_table.hpp"
#include "moeshift/report/figure.hpp"
#include "moeshift/report/page_assets.hpp"
#include "moeshift/report/terminal_table.hpp"
#include "moeshift/report/view.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostRows = 500;  // of one table: thousands make a page slow and help nobody
constexpr std::array<std::string_view, 3> kToneClasses = {"plain", "good", "bad"};

/// JSON that cannot end the element it stands in.
std::string island(const Json& json) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string safe;
  for (const char c : text) safe += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return safe;
}

/// Numbers carry what they are sorted by.
std::string cell_html(const Cell& cell, bool numeric) {
  std::string attributes = numeric ? " class=\"n\"" : "";
  if (cell.style.unit != Unit::kText && cell.raw != cell.shown) {
    attributes += fmt::format(" data-v=\"{}\"", escape_html(cell.raw));
  }
  return fmt::format("<td{}>{}</td>", attributes, escape_html(cell.shown));
}

std::string table_html(const Table& table) {
  const std::vector<bool> numeric = numeric_columns(table);
  std::string html = "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>";
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Figure* figure = table.columns[c].figure;
    const std::string meaning = figure == nullptr ? "" : std::string(figure->meaning);
    html += fmt::format("<th{}{}>{}</th>", numeric[c] ? " class=\"n\"" : "",
                        meaning.empty() ? "" : fmt::format(" title=\"{}\"", escape_html(meaning)),
                        escape_html(table.columns[c].name));
  }
  html += "</tr></thead>\n<tbody>\n";
  const std::size_t shown = std::min(table.rows.size(), kMostRows);
  for (const auto& row : std::span(table.rows).first(shown)) {
    html += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) html += cell_html(row[c], numeric[c]);
    html += "</tr>\n";
  }
  html += "</tbody></table></div>\n";
  if (shown == table.rows.size()) return html;
  return html +
         fmt::format("<p class=\"soft\">The first {} of {} rows; the result file has all.</p>\n",
                     shown, human_count(static_cast<std::int64_t>(table.rows.size())));
}

std::string folded_html(const Table& table, std::string_view summary, bool open) {
  return fmt::format("<details{}><summary>{}</summary>\n{}</details>\n",
                     open ? " open class=\"data\"" : "", escape_html(summary), table_html(table));
}

/// A picture, the figures it is drawn from, and the same as a table for those who see no picture.
std::string figure_html(const std::string& title, const Json& block, const Table& figures) {
  return fmt::format(
      "<figure class=\"chart\"><figcaption>{0}</figcaption>\n<div class=\"plot\" role=\"img\" "
      "tabindex=\"0\" aria-label=\"{0}\"></div>\n<script type=\"application/json\">{1}</script>\n"
      "{2}</figure>\n",
      escape_html(title), island(block), folded_html(figures, "The figures of this chart", true));
}

struct BlockToHtml {
  std::string operator()(const Note& note) const {
    return fmt::format("<p class=\"note\">{}</p>\n", escape_html(note.text));
  }
  std::string operator()(const Conclusion& verdict) const {
    std::string reasons;
    for (const std::string& reason : verdict.reasons) {
      reasons += fmt::format("<li>{}</li>\n", escape_html(reason));
    }
    return fmt::format("<div class=\"verdict {}\"><p>{}</p>\n{}</div>\n",
                       kToneClasses[static_cast<std::size_t>(verdict.tone)],
                       escape_html(verdict.text),
                       reasons.empty() ? "" : "<ul>\n" + reasons + "</ul>\n");
  }
  std::string operator()(const Tiles& tiles) const {
    std::string html = "<dl class=\"figures\">\n";
    for (const Tile& tile : tiles.items) {
      html += fmt::format("<div><dt>{}</dt><dd>{}</dd><dd class=\"remark\">{}</dd></div>\n",
                          escape_html(tile.label), escape_html(tile.value.shown),
                          escape_html(tile.remark));
    }
    return html + "</dl>\n";
  }
  std::string operator()(const Table& table) const {
    constexpr std::size_t kManyRows = 40;
    const std::string title = table.title.empty() ? "Every row" : table.title;
    if (table.rows.size() > kManyRows) return folded_html(table, title, false);
    return (table.title.empty() ? "" : fmt::format("<h3>{}</h3>\n", escape_html(table.title))) +
           table_html(table);
  }
  std::string operator()(const Detail& detail) const {
    return folded_html(detail.table, detail.table.title, false);
  }
  std::string operator()(const Chart& chart) const {
    return figure_html(chart.title, block_json(chart), chart.data);
  }
  std::string operator()(const HeatMap& map) const {
    return figure_html(map.title, block_json(map), table_of(map));
  }
};

/// Verdicts first, then large figures, then the rest as it comes.
int rank_of(const Block& block) {
  if (std::holds_alternative<Conclusion>(block)) return 0;
  return std::holds_alternative<Tiles>(block) ? 1 : 2;
}

std::string title_of(const PageSection& section) {
  return section.view.title.empty() ? section.command : section.view.title;
}

/// @param alone the page's heading says the title already
std::string section_html(const PageSection& section, std::size_t number, bool alone) {
  std::string about;
  const auto add = [&](std::string_view what, std::string_view text) {
    if (text.empty()) return;
    about += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", escape_html(what), escape_html(text));
  };
  for (const auto& [what, text] : section.view.about) add(what, text);
  add("file", section.source);
  add("date", section.date);
  std::string command = section.command;
  std::ranges::replace(command, '_', ' ');
  std::string html = fmt::format(
      "<section id=\"s{}\">\n<p class=\"kicker\">{}</p>\n{}<dl class=\"about\">{}</dl>\n"
      "<p class=\"origin\">{}</p>\n",
      number, escape_html(command),
      alone ? "" : fmt::format("<h2>{}</h2>\n", escape_html(title_of(section))), about,
      escape_html(section.origin));
  std::vector<const Block*> blocks;
  for (const Block& block : section.view.blocks) blocks.push_back(&block);
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const Block* a, const Block* b) { return rank_of(*a) < rank_of(*b); });
  for (const Block* block : blocks) html += std::visit(BlockToHtml{}, *block);
  return html + "</section>\n";
}

/// The first verdict, or else the first line.
std::string gist_of(const View& view) {
  std::string first;
  for (const Block& block : view.blocks) {
    if (const auto* verdict = std::get_if<Conclusion>(&block)) return verdict->text;
    const auto* note = std::get_if<Note>(&block);
    if (note != nullptr && first.empty()) first = note->text;
  }
  return first;
}

std::string contents_html(std::span<const PageSection> sections) {
  std::string html = "<nav aria-label=\"Contents\"><ol>\n";
  for (std::size_t i = 0; i < sections.size(); ++i) {
    html += fmt::format("<li><a href=\"#s{}\">{}</a> <span class=\"soft\">{}</span><br>{}</li>\n",
                        i + 1, escape_html(title_of(sections[i])), escape_html(sections[i].source),
                        escape_html(gist_of(sections[i].view)));
  }
  return html + "</ol></nav>\n";
}

void write_parts(std::ostream& out, std::string_view before,
                 std::span<const std::string_view> parts, std::string_view after) {
  out << before;
  for (const std::string_view part : parts) out << part;
  out << after;
}

bool has_charts(std::span<const PageSection> sections) {
  return std::any_of(sections.begin(), sections.end(), [](const PageSection& section) {
    return std::any_of(
        section.view.blocks.begin(), section.view.blocks.end(), [](const Block& block) {
          return std::holds_alternative<Chart>(block) || std::holds_alternative<HeatMap>(block);
        });
  });
}

}  // namespace

void write_html(std::ostream& out, std::span<const PageSection> sections) {
  const std::string title = sections.size() == 1 ? title_of(sections.front())
                                                 : fmt::format("{} results", sections.size());
  out << fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{} - moeshift</title>\n",
      escape_html(title));
  write_parts(out, "<style>", page_assets::style(), "</style>\n</head>\n<body>\n<main>\n");
  out << fmt::format("<header><p class=\"brand\">moeshift</p><h1>{}</h1></header>\n",
                     escape_html(title));
  if (sections.size() > 1) out << contents_html(sections);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    out << section_html(sections[i], i + 1, sections.size() == 1);
  }
  out << "</main>\n";
  if (has_charts(sections)) {
    write_parts(out, "<script>", page_assets::charting_library(), "</script>\n");
  }
  write_parts(out, "<script>", page_assets::script(), "</script>\n</body>\n</html>\n");
}

}  // namespace moeshift
