// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/bytes/zip_archive.hpp"

#include <algorithm>

#include <zip.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/bytes/decoder.hpp"

namespace moeshift {

bool looks_like_zip(std::string_view bytes) {
  return bytes.starts_with(std::string_view("PK\x03\x04", 4));
}

ZipArchive::ZipArchive(ByteSource& bytes) : name_(bytes.name()), bytes_(bytes.rest()) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes_.data(), bytes_.size(), 0, &error);
  if (source != nullptr) archive_ = zip_open_from_source(source, ZIP_RDONLY, &error);
  if (archive_ == nullptr && source != nullptr) zip_source_free(source);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  if (archive_ == nullptr) throw InputError(name_, "not a whole zip archive: " + reason);
  refuse_repeated();
}

/// Readers do not agree on which of two entries counts.
void ZipArchive::refuse_repeated() const {
  std::vector<std::string> names = entries();
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice == names.end()) return;
  zip_discard(archive_);
  throw InputError(name_ + "#" + *twice, "is in the archive twice: expected each entry once");
}

ZipArchive::~ZipArchive() {
  zip_discard(archive_);
}

std::vector<std::string> ZipArchive::entries() const {
  std::vector<std::string> names;
  const zip_int64_t count = zip_get_num_entries(archive_, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(archive_, static_cast<zip_uint64_t>(i), 0);
    if (name != nullptr) names.emplace_back(name);
  }
  return names;
}

std::string ZipArchive::ending_with(std::string_view ending) const {
  for (std::string& name : entries()) {
    if (std::string_view(name).ends_with(ending)) return std::move(name);
  }
  return "";
}

std::optional<std::string> ZipArchive::read(const std::string& path) const {
  zip_stat_t stat;
  zip_stat_init(&stat);
  constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
  if (zip_stat(archive_, path.c_str(), 0, &stat) != 0) return {};
  if ((stat.valid & kNeeded) != kNeeded) return {};
  if (stat.size > ByteSource::kLongestRest) return {};
  unfolded_ += stat.size;
  check_growth(bytes_.size(), unfolded_, name_ + "#" + path);
  // What is stored as it is cannot be longer than the archive.
  if (stat.comp_size > bytes_.size()) return {};
  if ((stat.valid & ZIP_STAT_COMP_METHOD) != 0 && stat.comp_method == ZIP_CM_STORE &&
      stat.size != stat.comp_size) {
    return {};
  }
  zip_file_t* file = zip_fopen(archive_, path.c_str(), 0);
  if (file == nullptr) return {};
  std::string content(stat.size, '\0');
  const zip_int64_t read = zip_fread(file, content.data(), stat.size);
  const bool whole = zip_fclose(file) == 0 && read == static_cast<zip_int64_t>(stat.size);
  return whole ? std::optional(std::move(content)) : std::nullopt;
}

}  // namespace moeshift
