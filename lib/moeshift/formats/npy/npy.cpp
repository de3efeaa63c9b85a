// SPDX-License-Identifier: Apache-2.0
// Format: numpy/numpy, numpy/lib/format.py (NEP 1).
#include "moeshift/formats/npy/npy.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/bytes/short_floats.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};
constexpr std::size_t kLongestHeader = 65535;
constexpr std::size_t kMostNumbers = std::size_t{1} << 48U;

[[noreturn]] void fail_header(const std::string& place, const std::string& expectation) {
  throw InputError(place + "/header", expectation);
}

std::string read_exactly(ByteSource& bytes, std::size_t count, const std::string& place) {
  std::string text(count, '\0');
  if (bytes.read(text.data(), count) != count) fail_header(place, "the file is truncated");
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
std::string_view value_of(const std::string& place, std::string_view text, std::string_view key) {
  const std::string quoted = fmt::format("'{}'", key);
  const std::size_t at = text.find(quoted);
  const std::size_t colon =
      at == std::string_view::npos ? at : text.find_first_not_of(' ', at + quoted.size());
  if (colon == std::string_view::npos || text[colon] != ':') {
    fail_header(place, fmt::format("expected the key '{}'", key));
  }
  const std::size_t value = text.find_first_not_of(' ', colon + 1);
  return value == std::string_view::npos ? std::string_view() : text.substr(value);
}

void parse_descr(const std::string& place, std::string_view text, NpyHeader& header) {
  // '<i8': quote, byte order, kind, size, quote
  const std::size_t close = text.find('\'', 1);
  const bool quoted = text.size() >= 5 && text[0] == '\'' && close >= 4 &&
                      close != std::string_view::npos &&
                      std::string_view("<>|=").find(text[1]) != std::string_view::npos;
  std::size_t size = 0;
  if (quoted) {
    const std::string_view digits = text.substr(3, close - 3);
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    if (error != std::errc() || stop != digits.data() + digits.size()) size = 0;
  }
  const char kind = quoted ? text[2] : ' ';
  const bool number = (kind == 'i' || kind == 'u') && std::has_single_bit(size) && size <= 8;
  const bool real = kind == 'f' && (size == 2 || size == 4 || size == 8);
  const bool other = (kind == 'b' && size == 1) || (kind == 'U' && size >= 1 && size <= 4096);
  if (!number && !real && !other) {
    fail_header(place, "expected descr to be i1 .. i8, u1 .. u8, f2, f4 or f8");
  }
  header.kind = kind;
  header.item_bytes = kind == 'U' ? 4 * size : size;
  header.big_endian = text[1] == '>';
}

void parse_shape(const std::string& place, std::string_view text, NpyHeader& header) {
  const std::size_t close = text.find(')');
  if (text.empty() || text[0] != '(' || close == std::string_view::npos) {
    fail_header(place, "expected shape to be a tuple");
  }
  std::string_view rest = text.substr(1, close - 1);
  while (true) {
    const std::size_t digit = rest.find_first_not_of(" ,");
    if (digit == std::string_view::npos) return;
    rest.remove_prefix(digit);
    std::size_t extent = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), extent);
    if (error != std::errc() || header.shape.size() == 8) {
      fail_header(place, "expected shape to be a tuple of whole numbers");
    }
    header.shape.push_back(extent);
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
  }
}

template <class T>
T swapped(T value) {
  std::array<unsigned char, sizeof(T)> bytes{};
  std::memcpy(bytes.data(), &value, sizeof value);
  std::reverse(bytes.begin(), bytes.end());
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

template <class T, bool kSwap>
void decode_as(const char* from, std::span<double> to) {
  for (double& number : to) {
    T value{};
    std::memcpy(&value, from, sizeof value);
    if constexpr (kSwap) value = swapped(value);
    number = static_cast<double>(value);
    from += sizeof value;
  }
}

template <bool kSwap>
void decode_half(const char* from, std::span<double> to) {
  for (double& number : to) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, from, sizeof bits);
    if constexpr (kSwap) bits = swapped(bits);
    number = half_value(bits);
    from += sizeof bits;
  }
}

using Decode = void (*)(const char* from, std::span<double> to);

template <class T>
Decode decode_in(bool swap) {
  return swap ? &decode_as<T, true> : &decode_as<T, false>;
}

/// Chosen once for an array: the loop over its numbers has no branch in it.
Decode decode_of(const NpyHeader& header) {
  const bool swap = header.big_endian != (std::endian::native == std::endian::big);
  if (header.kind == 'f') {
    if (header.item_bytes == 2) return swap ? &decode_half<true> : &decode_half<false>;
    return header.item_bytes == 4 ? decode_in<float>(swap) : decode_in<double>(swap);
  }
  const bool is_signed = header.kind == 'i';
  switch (header.item_bytes) {
    case 1:
      return is_signed ? decode_in<std::int8_t>(swap) : decode_in<std::uint8_t>(swap);
    case 2:
      return is_signed ? decode_in<std::int16_t>(swap) : decode_in<std::uint16_t>(swap);
    case 4:
      return is_signed ? decode_in<std::int32_t>(swap) : decode_in<std::uint32_t>(swap);
    default:
      return is_signed ? decode_in<std::int64_t>(swap) : decode_in<std::uint64_t>(swap);
  }
}

class NpyRows final : public ArrayRows {
 public:
  NpyRows(std::unique_ptr<ByteSource> bytes, std::string place, NpyHeader header)
      : ArrayRows(std::move(place), header.shape),
        bytes_(std::move(bytes)),
        header_(std::move(header)),
        decode_(decode_of(header_)) {}

  std::vector<double> sample(std::size_t most) override {
    const std::size_t length = shape().back();
    const std::size_t rows = length == 0 ? 0 : std::min(num_rows(), most / length);
    const std::string_view seen = bytes_->peek(rows * length * header_.item_bytes);
    const std::size_t whole = length == 0 ? 0 : seen.size() / (length * header_.item_bytes);
    std::vector<double> numbers(whole * length);
    decode_(seen.data(), numbers);
    return numbers;
  }

  void next(std::span<double> row) override {
    constexpr std::size_t kBlockItems = std::size_t{1} << 14U;
    for (std::size_t first = 0; first < row.size(); first += kBlockItems) {
      const auto part = row.subspan(first, std::min(kBlockItems, row.size() - first));
      const std::size_t length = part.size() * header_.item_bytes;
      if (bytes_->peek(length).size() < length) {
        throw InputError(row_place(done_), "the file is truncated");
      }
      decode_(bytes_->take(length).data(), part);
    }
    ++done_;
  }

  void finish() override {
    if (bytes_->peek(1).empty()) return;
    throw InputError(bytes_->name(), "expected the file to end after its array");
  }

 private:
  std::unique_ptr<ByteSource> bytes_;
  NpyHeader header_;
  Decode decode_;
  std::size_t done_ = 0;
};

}  // namespace

bool looks_like_npy(std::string_view bytes) {
  return bytes.substr(0, kMagic.size()) == kMagic;
}

NpyHeader read_npy_header(ByteSource& bytes, const std::string& place) {
  const std::string start = read_exactly(bytes, 8, place);
  if (!looks_like_npy(start)) fail_header(place, "expected a .npy file");
  const int version = start[6];
  if (version < 1 || version > 3) fail_header(place, "expected .npy format version 1, 2 or 3");
  const std::size_t length = little_endian(read_exactly(bytes, version == 1 ? 2 : 4, place));
  if (length > kLongestHeader) fail_header(place, "expected a header below 64 KiB");
  const std::string text = read_exactly(bytes, length, place);
  NpyHeader header;
  parse_descr(place, value_of(place, text, "descr"), header);
  if (value_of(place, text, "fortran_order").substr(0, 5) != "False") {
    fail_header(place, "expected C order (fortran_order False); save numpy.ascontiguousarray(x)");
  }
  parse_shape(place, value_of(place, text, "shape"), header);
  return header;
}

namespace {

std::unique_ptr<ArrayRows> rows_at(std::unique_ptr<ByteSource> bytes, const std::string& place) {
  NpyHeader header = read_npy_header(*bytes, place);
  if (header.kind == 'U') fail_header(place, "expected numbers, found text");
  if (header.shape.empty()) header.shape = {1};  // a number by itself
  std::size_t numbers = 1;
  for (const std::size_t extent : header.shape) {
    if (extent == 0 || numbers > kMostNumbers / extent) {
      fail_header(place, "expected a shape of 1 to 2^48 numbers");
    }
    numbers *= extent;
  }
  return std::make_unique<NpyRows>(std::move(bytes), place, std::move(header));
}

}  // namespace

std::unique_ptr<ArrayRows> npy_rows(std::unique_ptr<ByteSource> bytes) {
  const std::string place = bytes->name() + "#";
  return rows_at(std::move(bytes), place);
}

std::unique_ptr<ArrayRows> npy_rows(std::string bytes, const std::string& place) {
  return rows_at(ByteSource::of_text(std::move(bytes), place), place);
}

std::vector<double> all_numbers(ArrayRows& rows, std::size_t most) {
  const std::size_t length = rows.shape().back();
  const std::size_t count = rows.num_rows();
  if (length > most || (length > 0 && count > most / length)) {
    throw InputError(rows.place(), fmt::format("expected at most {} numbers", most));
  }
  std::vector<double> numbers(count * length);
  for (std::size_t i = 0; i < count; ++i) {
    rows.next(std::span(numbers).subspan(i * length, length));
  }
  rows.finish();
  return numbers;
}

std::string npy_text(const std::string& bytes, const std::string& place) {
  const auto source = ByteSource::of_text(bytes, place);
  const NpyHeader header = read_npy_header(*source, place);
  if (header.kind != 'U' || header.big_endian) fail_header(place, "expected text");
  const std::string codes = read_exactly(*source, header.item_bytes, place);
  std::string text;
  for (std::size_t i = 0; i < codes.size(); i += 4) {
    const std::size_t code = little_endian(std::string_view(codes).substr(i, 4));
    if (code == 0) break;
    text += code < 128 ? static_cast<char>(code) : '?';
  }
  return text;
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
