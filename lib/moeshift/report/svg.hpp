// SPDX-License-Identifier: Apache-2.0
// Drawing into an SVG document that takes its colours from the page around it.
#pragma once

#include <string>
#include <string_view>

namespace moeshift {

/// Text as it may stand in HTML and in attributes: & < > " ' replaced, control characters dropped,
/// bytes that are no UTF-8 replaced.
[[nodiscard]] std::string escape_html(std::string_view text);

enum class Anchor { kStart, kMiddle, kEnd };

/// Grows shape by shape. Coordinates are those of the view box; `style` is a CSS class of the page.
class Svg {
 public:
  /// @param description what a screen reader says.
  Svg(double width, double height, std::string_view description);

  /// @param tip shown when the pointer rests on the shape; may be empty.
  void rect(double x, double y, double width, double height, std::string_view style,
            std::string_view tip = "");
  void line(double x1, double y1, double x2, double y2, std::string_view style);
  void circle(double x, double y, double radius, std::string_view style, std::string_view tip = "");
  /// @param points "x,y x,y ...".
  void polyline(const std::string& points, std::string_view style);
  void text(double x, double y, std::string_view text, std::string_view style = "",
            Anchor anchor = Anchor::kStart);
  /// Reads upwards.
  void text_upwards(double x, double y, std::string_view text, std::string_view style = "");
  /// Cell of a heat map: `share` in [0, 1] of the strongest colour.
  void shade(double x, double y, double width, double height, double share, std::string_view tip);

  /// The whole element.
  [[nodiscard]] std::string finish() &&;

 private:
  void close_with(std::string_view element, std::string_view tip);

  std::string body_;
};

}  // namespace moeshift
