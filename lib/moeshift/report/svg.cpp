// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/svg.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace moeshift {
namespace {

std::string_view name_of(Anchor anchor) {
  if (anchor == Anchor::kMiddle) return "middle";
  return anchor == Anchor::kEnd ? "end" : "start";
}

/// Bytes of the UTF-8 sequence that begins at `at`; 0 when there is none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xC0U) != 0x80U) return 0;
  }
  return length;
}

std::string_view entity_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    if (length == 0) {
      escaped += "\xEF\xBF\xBD";
      ++at;
      continue;
    }
    const char c = text[at];
    const std::string_view entity = length == 1 ? entity_of(c) : std::string_view();
    const bool control =
        length == 1 && static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t';
    if (!entity.empty()) {
      escaped += entity;
    } else if (!control && c != 0x7F) {
      escaped += text.substr(at, length);
    }
    at += length;
  }
  return escaped;
}

Svg::Svg(double width, double height, std::string_view description)
    : body_(fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n",
                        width, height, escape_html(description))) {}

void Svg::close_with(std::string_view element, std::string_view tip) {
  if (tip.empty()) {
    body_ += "/>\n";
  } else {
    body_ += fmt::format("><title>{}</title></{}>\n", escape_html(tip), element);
  }
}

void Svg::rect(double x, double y, double width, double height, std::string_view style,
               std::string_view tip) {
  body_ +=
      fmt::format("<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" class=\"{}\"",
                  x, y, std::max(width, 0.0), std::max(height, 0.0), style);
  close_with("rect", tip);
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view style) {
  body_ +=
      fmt::format("<line x1=\"{:.2f}\" y1=\"{:.2f}\" x2=\"{:.2f}\" y2=\"{:.2f}\" class=\"{}\"/>\n",
                  x1, y1, x2, y2, style);
}

void Svg::circle(double x, double y, double radius, std::string_view style, std::string_view tip) {
  body_ += fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"{:.2f}\" class=\"{}\"", x, y,
                       radius, style);
  close_with("circle", tip);
}

void Svg::polyline(const std::string& points, std::string_view style) {
  body_ += fmt::format("<polyline points=\"{}\" class=\"{}\"/>\n", points, style);
}

void Svg::text(double x, double y, std::string_view text, std::string_view style, Anchor anchor) {
  body_ +=
      fmt::format("<text x=\"{:.2f}\" y=\"{:.2f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x,
                  y, name_of(anchor), style, escape_html(text));
}

void Svg::text_upwards(double x, double y, std::string_view text, std::string_view style) {
  body_ += fmt::format(
      "<text transform=\"translate({:.2f} {:.2f}) rotate(-90)\" text-anchor=\"middle\" "
      "class=\"{}\">{}</text>\n",
      x, y, style, escape_html(text));
}

void Svg::shade(double x, double y, double width, double height, double share,
                std::string_view tip) {
  body_ += fmt::format(
      "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" class=\"heat\" "
      "fill-opacity=\"{:.3f}\"",
      x, y, width, height, std::clamp(share, 0.0, 1.0));
  close_with("rect", tip);
}

std::string Svg::finish() && {
  return std::move(body_) + "</svg>\n";
}

}  // namespace moeshift
