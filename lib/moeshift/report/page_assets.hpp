// SPDX-License-Identifier: Apache-2.0
// What every page has inside it. The build makes these texts of the files in page/.
#pragma once

#include <span>
#include <string_view>

namespace moeshift::page_assets {

/// In parts, since compilers need not take literals of any length.
[[nodiscard]] std::span<const std::string_view> style();
[[nodiscard]] std::span<const std::string_view> script();
[[nodiscard]] std::span<const std::string_view> charting_library();

}  // namespace moeshift::page_assets
