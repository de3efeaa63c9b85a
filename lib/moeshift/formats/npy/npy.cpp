// SPDX-License-Identifier: Apache-2.0
// Format: numpy/numpy, numpy/lib/format.py (NEP 1).
#include "moeshift/formats/npy/npy.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};
constexpr std::size_t kLongestHeader = 65535;

[[noreturn]] void fail_header(const ByteSource& bytes, const std::string& expectation) {
  throw InputError(bytes.name() + "#/header", expectation);
}

std::string read_exactly(ByteSource& bytes, std::size_t count) {
  std::string text(count, '\0');
  if (bytes.read(text.data(), count) != count) fail_header(bytes, "the file is truncated");
  return text;
}

std::size_t little_endian(std::string_view bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) {
    value = value * 256 + static_cast<unsigned char>(bytes[i - 1]);
  }
  return value;
}

/// What follows "'key':" in the dictionary.
std::string_view value_of(const ByteSource& bytes, std::string_view text, std::string_view key) {
  const std::string quoted = fmt::format("'{}'", key);
  const std::size_t at = text.find(quoted);
  const std::size_t colon =
      at == std::string_view::npos ? at : text.find_first_not_of(' ', at + quoted.size());
  if (colon == std::string_view::npos || text[colon] != ':') {
    fail_header(bytes, fmt::format("expected the key '{}'", key));
  }
  const std::size_t value = text.find_first_not_of(' ', colon + 1);
  return value == std::string_view::npos ? std::string_view() : text.substr(value);
}

void parse_descr(const ByteSource& bytes, std::string_view text, NpyHeader& header) {
  // '<i8': quote, byte order, kind, size, quote
  const bool plain = text.size() >= 5 && text[0] == '\'' && text[4] == '\'' &&
                     std::string_view("<>|=").find(text[1]) != std::string_view::npos;
  const std::string_view kinds = "i1i2i4i8u1u2u4u8f4f8";
  const std::size_t kind = plain ? kinds.find(text.substr(2, 2)) : std::string_view::npos;
  if (kind == std::string_view::npos || kind % 2 != 0) {
    fail_header(bytes, "expected descr to be i1 .. i8, u1 .. u8, f4 or f8");
  }
  header.kind = text[2];
  header.item_bytes = static_cast<std::size_t>(text[3] - '0');
  header.big_endian = text[1] == '>';
}

void parse_shape(const ByteSource& bytes, std::string_view text, NpyHeader& header) {
  const std::size_t close = text.find(')');
  if (text.empty() || text[0] != '(' || close == std::string_view::npos) {
    fail_header(bytes, "expected shape to be a tuple");
  }
  std::string_view rest = text.substr(1, close - 1);
  while (true) {
    const std::size_t digit = rest.find_first_not_of(" ,");
    if (digit == std::string_view::npos) return;
    rest.remove_prefix(digit);
    std::size_t extent = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), extent);
    if (error != std::errc() || header.shape.size() == 8) {
      fail_header(bytes, "expected shape to be a tuple of whole numbers");
    }
    header.shape.push_back(extent);
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
  }
}

template <class T>
double decode_as(std::uint64_t bits) {
  T value;
  using Unsigned = std::conditional_t<
      sizeof(T) == 1, std::uint8_t,
      std::conditional_t<sizeof(T) == 2, std::uint16_t,
                         std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>>;
  const auto narrow = static_cast<Unsigned>(bits);
  std::memcpy(&value, &narrow, sizeof value);
  return static_cast<double>(value);
}

double decode(const NpyHeader& header, const unsigned char* item) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < header.item_bytes; ++i) {
    const std::size_t at = header.big_endian ? i : header.item_bytes - 1 - i;
    bits = bits << 8U | item[at];
  }
  if (header.kind == 'u') return decode_as<std::uint64_t>(bits);
  if (header.kind == 'f') {
    return header.item_bytes == 4 ? decode_as<float>(bits) : decode_as<double>(bits);
  }
  switch (header.item_bytes) {
    case 1:
      return decode_as<std::int8_t>(bits);
    case 2:
      return decode_as<std::int16_t>(bits);
    case 4:
      return decode_as<std::int32_t>(bits);
    default:
      return decode_as<std::int64_t>(bits);
  }
}

}  // namespace

bool looks_like_npy(std::string_view bytes) {
  return bytes.substr(0, kMagic.size()) == kMagic;
}

NpyHeader read_npy_header(ByteSource& bytes) {
  const std::string start = read_exactly(bytes, 8);
  if (!looks_like_npy(start)) fail_header(bytes, "expected a .npy file");
  const int version = start[6];
  if (version < 1 || version > 3) fail_header(bytes, "expected .npy format version 1, 2 or 3");
  const std::size_t length = little_endian(read_exactly(bytes, version == 1 ? 2 : 4));
  if (length > kLongestHeader) fail_header(bytes, "expected a header below 64 KiB");
  const std::string text = read_exactly(bytes, length);
  NpyHeader header;
  parse_descr(bytes, value_of(bytes, text, "descr"), header);
  if (value_of(bytes, text, "fortran_order").substr(0, 5) != "False") {
    fail_header(bytes, "expected C order (fortran_order False); save numpy.ascontiguousarray(x)");
  }
  parse_shape(bytes, value_of(bytes, text, "shape"), header);
  return header;
}

void read_npy_items(ByteSource& bytes, const NpyHeader& header, std::span<double> items,
                    double lowest, const std::string& place) {
  constexpr std::size_t kBlockItems = 4096;
  std::vector<unsigned char> block(kBlockItems * header.item_bytes);
  for (std::size_t first = 0; first < items.size(); first += kBlockItems) {
    const std::size_t count = std::min(kBlockItems, items.size() - first);
    const std::size_t length = count * header.item_bytes;
    if (bytes.read(reinterpret_cast<char*>(block.data()), length) != length) {
      throw InputError(place, "the file is truncated");
    }
    for (std::size_t i = 0; i < count; ++i) {
      const double value = decode(header, block.data() + i * header.item_bytes);
      if (!(value >= lowest && value <= 0x1p53 && std::floor(value) == value)) {
        throw InputError(fmt::format("{}/{}", place, first + i),
                         fmt::format("expected a whole number in [{}, 2^53]", lowest));
      }
      items[first + i] = value;
    }
  }
}

void expect_npy_end(ByteSource& bytes) {
  if (!bytes.peek(1).empty()) {
    throw InputError(bytes.name(), "expected the file to end after its array");
  }
}

std::string npy_header(std::span<const std::size_t> shape, std::size_t length) {
  std::string extents;
  for (const std::size_t extent : shape) extents += fmt::format("{}, ", extent);
  if (shape.size() > 1) extents.resize(extents.size() - 2);
  std::string text =
      fmt::format("{{'descr': '<i8', 'fortran_order': False, 'shape': ({}), }}", extents);
  const std::size_t head = kMagic.size() + 4;
  const std::size_t total = std::max(length, (head + text.size() + 1 + 63) / 64 * 64);
  text.resize(total - head - 1, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xffU),
             static_cast<char>(text.size() >> 8U)};
  return header + text;
}

void append_npy_item(std::string& bytes, std::int64_t value) {
  auto bits = static_cast<std::uint64_t>(value);
  for (std::size_t i = 0; i < sizeof bits; ++i) {
    bytes += static_cast<char>(bits & 0xffU);
    bits >>= 8U;
  }
}

}  // namespace moeshift
