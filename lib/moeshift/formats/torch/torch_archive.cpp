// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/torch/torch_archive.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <zip.h>

#include "moeshift/core/error.hpp"

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

static_assert(std::endian::native == std::endian::little, "storages are little endian");

constexpr std::array<ItemType, 8> kItemTypes = {{
    {"torch.LongStorage", 8, &read_as<std::int64_t>},
    {"torch.IntStorage", 4, &read_as<std::int32_t>},
    {"torch.ShortStorage", 2, &read_as<std::int16_t>},
    {"torch.CharStorage", 1, &read_as<std::int8_t>},
    {"torch.ByteStorage", 1, &read_as<std::uint8_t>},
    {"torch.BoolStorage", 1, &read_as<std::uint8_t>},
    {"torch.FloatStorage", 4, &read_as<float>},
    {"torch.DoubleStorage", 8, &read_as<double>},
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

}  // namespace

bool looks_like_zip(std::string_view bytes) {
  return bytes.starts_with(std::string_view("PK\x03\x04", 4));
}

/// An archive in memory, closed when it goes away.
class TorchArchive::Zip {
 public:
  Zip(std::string bytes, const std::string& name) : bytes_(std::move(bytes)) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(bytes_.data(), bytes_.size(), 0, &error);
    if (source != nullptr) archive_ = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (archive_ == nullptr && source != nullptr) zip_source_free(source);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    if (archive_ == nullptr) throw InputError(name, "not a whole zip archive: " + reason);
  }
  Zip(const Zip&) = delete;
  Zip& operator=(const Zip&) = delete;
  ~Zip() { zip_discard(archive_); }

  /// The name of the only entry that ends so; empty when there is none.
  [[nodiscard]] std::string ending_with(std::string_view ending) const {
    const zip_int64_t count = zip_get_num_entries(archive_, 0);
    for (zip_int64_t i = 0; i < count; ++i) {
      const char* name = zip_get_name(archive_, static_cast<zip_uint64_t>(i), 0);
      if (name != nullptr && std::string_view(name).ends_with(ending)) return name;
    }
    return "";
  }

  /// @return nothing when there is no such entry, it is damaged, or it is not stored as it is
  ///         (torch never compresses, so nothing can unfold to more than the file has).
  [[nodiscard]] std::optional<std::string> read(const std::string& path) const {
    zip_stat_t stat;
    zip_stat_init(&stat);
    constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat(archive_, path.c_str(), 0, &stat) != 0) return {};
    if ((stat.valid & kNeeded) != kNeeded || stat.comp_method != ZIP_CM_STORE) return {};
    if (stat.size > bytes_.size()) return {};
    zip_file_t* file = zip_fopen(archive_, path.c_str(), 0);
    if (file == nullptr) return {};
    std::string content(stat.size, '\0');
    const zip_int64_t read = zip_fread(file, content.data(), stat.size);
    const bool whole = zip_fclose(file) == 0 && read == static_cast<zip_int64_t>(stat.size);
    return whole ? std::optional(std::move(content)) : std::nullopt;
  }

 private:
  std::string bytes_;
  zip_t* archive_ = nullptr;
};

TorchArchive::TorchArchive(ByteSource& bytes)
    : name_(bytes.name()), zip_(std::make_unique<Zip>(std::string(bytes.rest()), name_)) {
  constexpr std::string_view kPickle = "/data.pkl";
  const std::string path = zip_->ending_with(kPickle);
  if (path.empty()) throw InputError(name_, "expected a file of torch.save(), found no data.pkl");
  folder_ = path.substr(0, path.size() - kPickle.size() + 1);
  if (zip_->read(folder_ + "byteorder").value_or("little") != "little") {
    throw InputError(name_, "expected little-endian tensors");
  }
  pickle_ = std::make_unique<Pickle>(entry(path), name_ + "#" + path);
}

TorchArchive::~TorchArchive() = default;

std::string TorchArchive::entry(const std::string& path) {
  auto content = zip_->read(path);
  if (!content) throw InputError(name_ + "#" + path, "expected an undamaged, uncompressed entry");
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
                            double lowest, std::span<double> row, const std::string& place) {
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
    const double value = type.read(bytes.data() + at * type.bytes);
    if (!(value >= lowest && value <= 0x1p53) || std::floor(value) != value) {
      throw InputError(fmt::format("{}#{}/{}", name_, place, i),
                       fmt::format("expected a whole number in [{}, 2^53]", lowest));
    }
    row[i] = value;
  }
}

}  // namespace moeshift
