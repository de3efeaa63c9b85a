// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy arrays of plain numbers, C order. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/bytes/byte_source.hpp"

namespace moeshift {

/// What the header of a .npy file says: "<i8" and a shape.
struct NpyHeader {
  char kind = 'i';  ///< 'i' signed, 'u' unsigned, 'f' IEEE float, 'b' bool, 'U' text
  std::size_t item_bytes = 8;
  bool big_endian = false;
  std::vector<std::size_t> shape;
};

[[nodiscard]] bool looks_like_npy(std::string_view bytes);

/// Reads magic and header (format versions 1 to 3); `bytes` then stands at the first item.
/// @param place what errors call the array.
/// @throws InputError for anything but i1..i8, u1..u8, f4, f8, bool and text in C order.
[[nodiscard]] NpyHeader read_npy_header(ByteSource& bytes, const std::string& place);

/// The numbers of a .npy stream, row by row. @throws InputError where it holds none.
[[nodiscard]] std::unique_ptr<ArrayRows> npy_rows(std::unique_ptr<ByteSource> bytes);

/// A .npy array in memory, as the members of .npz files are.
/// @param place what errors call it: "x.npz#/loads".
[[nodiscard]] std::unique_ptr<ArrayRows> npy_rows(std::string bytes, const std::string& place);

/// All numbers of `rows`, at most `most`.
[[nodiscard]] std::vector<double> all_numbers(ArrayRows& rows, std::size_t most);
/// The text of a .npy array that is one (ASCII; every other character is '?').
[[nodiscard]] std::string npy_text(const std::string& bytes, const std::string& place);

/// Header of a little-endian int64 array; padded to at least `length` bytes so that it can be
/// rewritten in place with another shape.
[[nodiscard]] std::string npy_header(std::span<const std::size_t> shape, std::size_t length = 128);
/// Appends one item of such an array.
void append_npy_item(std::string& bytes, std::int64_t value);

}  // namespace moeshift
