// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/html_page.hpp"

#include <fmt/format.h>

#include "moeshift/report/html_style.hpp"
#include "moeshift/report/svg.hpp"
#include "moeshift/report/terminal_table.hpp"

namespace moeshift {
namespace {

std::string rows_html(const Table& table) {
  const std::vector<bool> numeric = numeric_columns(table);
  std::string html = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    html += fmt::format("<th{}>{}</th>", numeric[c] ? " class=\"n\"" : "",
                        escape_html(table.columns[c]));
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) {
      html +=
          fmt::format("<td{}>{}</td>", numeric[c] ? " class=\"n\"" : "", escape_html(row[c].shown));
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace

HtmlPage::HtmlPage(std::string title) : title_(std::move(title)) {}

void HtmlPage::section(std::string_view kicker, std::string_view title, std::string_view origin) {
  if (open_) body_ += "</section>\n";
  open_ = true;
  const std::string anchor = fmt::format("s{}", contents_.size() + 1);
  contents_.emplace_back(anchor, std::string(title));
  body_ += fmt::format(
      "<section id=\"{}\">\n<p class=\"kicker\">{}</p>\n<h2>{}</h2>\n<p class=\"origin\">{}</p>\n",
      anchor, escape_html(kicker), escape_html(title), escape_html(origin));
}

void HtmlPage::heading(std::string_view text) {
  body_ += fmt::format("<h3>{}</h3>\n", escape_html(text));
}

void HtmlPage::paragraph(std::string_view text) {
  body_ += fmt::format("<p>{}</p>\n", escape_html(text));
}

void HtmlPage::verdict(std::string_view text, const std::vector<std::string>& reasons, bool good) {
  body_ += fmt::format("<div class=\"verdict {}\"><p>{}</p>\n", good ? "good" : "plain",
                       escape_html(text));
  if (!reasons.empty()) {
    body_ += "<ul>\n";
    for (const std::string& reason : reasons) {
      body_ += fmt::format("<li>{}</li>\n", escape_html(reason));
    }
    body_ += "</ul>\n";
  }
  body_ += "</div>\n";
}

void HtmlPage::figures(const std::vector<KeyFigure>& figures) {
  if (figures.empty()) return;
  body_ += "<dl class=\"figures\">\n";
  for (const KeyFigure& figure : figures) {
    body_ += fmt::format("<div><dt>{}</dt><dd>{}</dd><dd class=\"remark\">{}</dd></div>\n",
                         escape_html(figure.label), escape_html(figure.value),
                         escape_html(figure.remark));
  }
  body_ += "</dl>\n";
}

void HtmlPage::chart(std::string_view caption, const std::string& svg) {
  body_ +=
      fmt::format("<figure><figcaption>{}</figcaption><div class=\"scroll\">{}</div></figure>\n",
                  escape_html(caption), svg);
}

void HtmlPage::table(const Table& table, bool folded) {
  if (folded) {
    body_ += fmt::format("<details><summary>{}</summary>\n{}</details>\n", escape_html(table.title),
                         rows_html(table));
    return;
  }
  if (!table.title.empty()) heading(table.title);
  body_ += rows_html(table);
}

std::string HtmlPage::finish() && {
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{0}</title>\n"
      "<style>{1}</style>\n</head>\n<body>\n<main>\n<header><p class=\"brand\">moeshift</p>"
      "<h1>{0}</h1></header>\n",
      escape_html(title_), kHtmlStyle);
  if (contents_.size() > 1) {
    html += "<nav><ol>\n";
    for (const auto& [anchor, text] : contents_) {
      html += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", anchor, escape_html(text));
    }
    html += "</ol></nav>\n";
  }
  return html + body_ + (open_ ? "</section>\n" : "") + "</main>\n</body>\n</html>\n";
}

}  // namespace moeshift
