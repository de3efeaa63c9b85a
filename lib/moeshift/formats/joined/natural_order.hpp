// SPDX-License-Identifier: Apache-2.0
// Names of files in the order that their writer numbered them in.
#pragma once

#include <string_view>

namespace moeshift {

/// Whether `a` comes before `b`: runs of digits are compared by their value ("part2" before
/// "part10"), all else byte by byte. A strict order of all names: "a01" and "a1" as bytes.
[[nodiscard]] bool natural_before(std::string_view a, std::string_view b);

}  // namespace moeshift
