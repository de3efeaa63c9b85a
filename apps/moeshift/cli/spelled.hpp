// SPDX-License-Identifier: Apache-2.0
// The library's sentences, with its settings as they are called on a command line.
#pragma once

#include <string>
#include <string_view>

namespace moeshift::cli {

/// "drop them with `windows`" as "drop them with --windows": what the library marks as a setting,
/// where some command has an option of that name. All else stays as it is. O(text).
[[nodiscard]] std::string spelled(std::string_view text);

}  // namespace moeshift::cli
