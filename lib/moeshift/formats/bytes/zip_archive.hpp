// SPDX-License-Identifier: Apache-2.0
// The entries of a zip archive in memory: what torch.save() and numpy.savez() write. Internal to
// formats/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/formats/bytes/byte_source.hpp"

struct zip;

namespace moeshift {

[[nodiscard]] bool looks_like_zip(std::string_view bytes);

/// An archive, closed when it goes away.
class ZipArchive {
 public:
  /// Takes everything that is left of `bytes`. @throws InputError when that is no whole archive, or
  /// has two entries of one name.
  explicit ZipArchive(ByteSource& bytes);
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;
  ~ZipArchive();

  /// Paths of all entries, in the order of the archive.
  [[nodiscard]] std::vector<std::string> entries() const;
  /// The first entry that ends so; empty when there is none.
  [[nodiscard]] std::string ending_with(std::string_view ending) const;
  /// The bytes of an entry; nothing when there is none or it is damaged.
  /// @throws InputError when it unfolds to more than check_growth allows.
  [[nodiscard]] std::optional<std::string> read(const std::string& path) const;

 private:
  void refuse_repeated() const;

  std::string name_;
  std::string bytes_;
  zip* archive_ = nullptr;
  mutable std::uint64_t unfolded_ = 0;  ///< of all entries that were read
};

}  // namespace moeshift
