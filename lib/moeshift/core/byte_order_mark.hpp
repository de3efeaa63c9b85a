// SPDX-License-Identifier: Apache-2.0
// Text that editors and shells of Windows wrote: with a mark in front, or in two bytes a character.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace moeshift {

/// How long the byte order mark of UTF-8 is with which `start` begins: 3, or 0 where there is none.
/// @param start the first eight bytes of an input, fewer only where it has no more.
/// @throws InputError where they are UTF-16 or UTF-32, with a mark or without, naming the command
///         that makes UTF-8 of it.
[[nodiscard]] std::size_t byte_order_mark(std::string_view start, const std::string& source);

}  // namespace moeshift
