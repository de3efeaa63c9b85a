// SPDX-License-Identifier: Apache-2.0
// Finding things by name, and "did you mean": the known name closest to what was typed.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moeshift {

/// "; did you mean 'x'?" for one of `known`, or "" when none is close: the shortest that begins
/// with or else contains what was typed (three letters or more; case, '_' and '-' aside: "h200",
/// "DeepSeek-V3"), else the one of which the fewest letters would have to change, at most a third
/// of those typed and at least one. Ties go to the earlier name.
[[nodiscard]] std::string did_you_mean(std::string_view typed,
                                       std::span<const std::string_view> known);

/// Says that no `what` is called `typed`, which one may be meant, and which there are.
/// @throws InputError always.
[[noreturn]] void refuse_name(std::string_view what, std::string_view typed,
                              std::span<const std::string_view> known);

/// The row called `name` of a table whose rows have a `name`; `what` is what a row stands for.
/// @throws InputError as refuse_name.
template <class Rows>
[[nodiscard]] const auto& row_named(const Rows& rows, std::string_view what,
                                    std::string_view name) {
  std::vector<std::string_view> known;
  for (const auto& row : rows) {
    if (row.name == name) return row;
    known.push_back(row.name);
  }
  refuse_name(what, name, known);
}

/// The place of `name` among `known`. @throws InputError as refuse_name.
[[nodiscard]] std::size_t index_of_name(std::string_view what, std::string_view name,
                                        std::span<const std::string_view> known);

}  // namespace moeshift
