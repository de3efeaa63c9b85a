// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy arrays of plain numbers, C order. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/formats/bytes/byte_source.hpp"

namespace moeshift {

/// What the header of a .npy file says: "<i8" and a shape.
struct NpyHeader {
  char kind = 'i';  ///< 'i' signed, 'u' unsigned, 'f' IEEE float
  std::size_t item_bytes = 8;
  bool big_endian = false;
  std::vector<std::size_t> shape;
};

[[nodiscard]] bool looks_like_npy(std::string_view bytes);

/// Reads magic and header (format versions 1 to 3); `bytes` then stands at the first item.
/// @throws InputError for anything but i1..i8, u1..u8, f4, f8 in C order.
[[nodiscard]] NpyHeader read_npy_header(ByteSource& bytes);

/// Reads `items.size()` whole numbers in [lowest, 2^53].
/// @param place what errors call this part: "x.npy#/3".
/// @throws InputError when the file ends early or a number is not whole and in range.
void read_npy_items(ByteSource& bytes, const NpyHeader& header, std::span<double> items,
                    double lowest, const std::string& place);

/// @throws InputError when bytes are left over.
void expect_npy_end(ByteSource& bytes);

/// Header of a little-endian int64 array; padded to at least `length` bytes so that it can be
/// rewritten in place with another shape.
[[nodiscard]] std::string npy_header(std::span<const std::size_t> shape, std::size_t length = 128);
/// Appends one item of such an array.
void append_npy_item(std::string& bytes, std::int64_t value);

}  // namespace moeshift
