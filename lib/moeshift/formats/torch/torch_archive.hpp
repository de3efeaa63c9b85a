// SPDX-License-Identifier: Apache-2.0
// Files of torch.save(): a zip archive of one pickle and the storages of its tensors. Internal to
// trace/.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/formats/bytes/zip_archive.hpp"
#include "moeshift/formats/torch/pickle.hpp"

namespace moeshift {

/// Tensors of whole numbers, by dictionary keys. Nothing in the file is run.
class TorchArchive {
 public:
  /// Takes everything that is left of `bytes`. @throws InputError
  explicit TorchArchive(ByteSource& bytes);
  /// An archive that was opened to see what it is.
  TorchArchive(std::unique_ptr<ZipArchive> zip, std::string name);
  /// Whether `zip` is one of torch.save().
  [[nodiscard]] static bool is_one(const ZipArchive& zip);

  [[nodiscard]] const PickleNode& root() const { return pickle_->root(); }
  [[nodiscard]] const std::string& name() const { return name_; }

  /// The numbers of one row of a tensor: all indices but the last are given.
  /// @throws InputError unless they lie inside their storage.
  void read_row(const PickleTensor& tensor, std::span<const std::size_t> index,
                std::span<double> row, const std::string& place);
  /// `node` as a tensor. @throws InputError naming `place` when it is none.
  [[nodiscard]] const PickleTensor& tensor(const PickleNode* node, const std::string& place);

 private:
  std::string entry(const std::string& path);
  const std::string& storage(const std::string& key, const std::string& place);

  std::string name_;
  std::unique_ptr<ZipArchive> zip_;
  std::string folder_;
  std::unique_ptr<Pickle> pickle_;
  std::map<std::string, std::string> storages_;
};

}  // namespace moeshift
