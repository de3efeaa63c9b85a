// SPDX-License-Identifier: Apache-2.0
// Text from files and peers, made fit for a terminal and a log.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace moeshift {

/// `text` as one line of valid UTF-8: control characters (of C0, C1, and those that turn the
/// direction of writing) become "\x1b" or "\u202e", bytes that are no UTF-8 become "\xff", and
/// what goes beyond `most` characters becomes "...". Text without any of these comes back as it is.
/// Complexity: O(text), O(most) memory.
[[nodiscard]] std::string shown(std::string_view text, std::size_t most = 2000);

/// The same of a text of several lines, none of which is cut.
[[nodiscard]] std::string shown_lines(std::string_view text);

}  // namespace moeshift
