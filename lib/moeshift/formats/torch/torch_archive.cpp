// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/torch/torch_archive.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/bytes/short_floats.hpp"

namespace moeshift {
namespace {

struct ItemType {
  std::string_view name;
  std::size_t bytes;
  double (*read)(const char* from);
};

template <class T>
double read_as(const char* from) {
  T value{};
  std::memcpy(&value, from, sizeof value);
  return static_cast<double>(value);
}

std::uint16_t read_bits(const char* from) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}

static_assert(std::endian::native == std::endian::little, "storages are little endian");

template <double (*kValue)(std::uint16_t)>
double read_short(const char* from) {
  return kValue(read_bits(from));
}

constexpr std::array<ItemType, 10> kItemTypes = {{
    {"torch.LongStorage", 8, &read_as<std::int64_t>},
    {"torch.IntStorage", 4, &read_as<std::int32_t>},
    {"torch.ShortStorage", 2, &read_as<std::int16_t>},
    {"torch.CharStorage", 1, &read_as<std::int8_t>},
    {"torch.ByteStorage", 1, &read_as<std::uint8_t>},
    {"torch.BoolStorage", 1, &read_as<std::uint8_t>},
    {"torch.FloatStorage", 4, &read_as<float>},
    {"torch.DoubleStorage", 8, &read_as<double>},
    {"torch.HalfStorage", 2, &read_short<half_value>},
    {"torch.BFloat16Storage", 2, &read_short<bfloat_value>},
}};

const ItemType* item_type(std::string_view name) {
  for (const ItemType& type : kItemTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

/// Index of the item at `index` (the rest 0) plus its last stride; nothing on overflow.
std::optional<std::size_t> item_offset(const PickleTensor& tensor,
                                       std::span<const std::size_t> index) {
  std::size_t at = tensor.offset;
  for (std::size_t i = 0; i < index.size(); ++i) {
    std::size_t step = 0;
    if (__builtin_mul_overflow(index[i], tensor.stride[i], &step)) return {};
    if (__builtin_add_overflow(at, step, &at)) return {};
  }
  return at;
}

constexpr std::string_view kPickle = "/data.pkl";

}  // namespace

TorchArchive::TorchArchive(ByteSource& bytes)
    : TorchArchive(std::make_unique<ZipArchive>(bytes), bytes.name()) {}

bool TorchArchive::is_one(const ZipArchive& zip) {
  return !zip.ending_with(kPickle).empty();
}

TorchArchive::TorchArchive(std::unique_ptr<ZipArchive> zip, std::string name)
    : name_(std::move(name)), zip_(std::move(zip)) {
  const std::string path = zip_->ending_with(kPickle);
  if (path.empty()) throw InputError(name_, "expected a file of torch.save(), found no data.pkl");
  folder_ = path.substr(0, path.size() - kPickle.size() + 1);
  if (zip_->read(folder_ + "byteorder").value_or("little") != "little") {
    throw InputError(name_, "expected little-endian tensors");
  }
  pickle_ = std::make_unique<Pickle>(entry(path), name_ + "#" + path);
}

std::string TorchArchive::entry(const std::string& path) {
  auto content = zip_->read(path);
  if (!content) throw InputError(name_ + "#" + path, "expected an undamaged entry");
  return *std::move(content);
}

const PickleTensor& TorchArchive::tensor(const PickleNode* node, const std::string& place) {
  const auto* tensor = node == nullptr ? nullptr : std::get_if<PickleTensor>(&node->value);
  if (tensor == nullptr) throw InputError(name_ + "#" + place, "expected a tensor");
  if (item_type(tensor->storage.type) == nullptr) {
    throw InputError(name_ + "#" + place,
                     "expected a tensor of whole numbers, found " + tensor->storage.type);
  }
  // No view may repeat its items: a file is never worth more work than its length.
  std::size_t items =
      storage(tensor->storage.key, place).size() / item_type(tensor->storage.type)->bytes;
  for (const std::size_t extent : tensor->shape) {
    if (extent == 0 || items < extent) {
      throw InputError(name_ + "#" + place, "expected a shape that is filled by its numbers");
    }
    items /= extent;
  }
  return *tensor;
}

const std::string& TorchArchive::storage(const std::string& key, const std::string& place) {
  const auto known = storages_.find(key);
  if (known != storages_.end()) return known->second;
  auto content = zip_->read(folder_ + "data/" + key);
  if (!content) {
    throw InputError(name_ + "#" + place, "its numbers (data/" + key + ") are missing or damaged");
  }
  return storages_.emplace(key, *std::move(content)).first->second;
}

void TorchArchive::read_row(const PickleTensor& tensor, std::span<const std::size_t> index,
                            std::span<double> row, const std::string& place) {
  MOESHIFT_CHECK(index.size() + 1 == tensor.shape.size() && row.size() == tensor.shape.back());
  const ItemType& type = *item_type(tensor.storage.type);
  const std::string& bytes = storage(tensor.storage.key, place);
  const auto start = item_offset(tensor, index);
  const std::size_t items = bytes.size() / type.bytes;
  const std::size_t stride = tensor.stride.back();
  for (std::size_t i = 0; i < row.size(); ++i) {
    std::size_t at = 0;
    const bool inside = start && !__builtin_mul_overflow(i, stride, &at) &&
                        !__builtin_add_overflow(at, *start, &at) && at < items;
    if (!inside) throw InputError(name_ + "#" + place, "its numbers are cut off");
    row[i] = type.read(bytes.data() + at * type.bytes);
  }
}

}  // namespace moeshift
