// SPDX-License-Identifier: Apache-2.0
// A tensor of a file of torch.save(), as rows of numbers. Internal to formats/.
#pragma once

#include <memory>
#include <string>

#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/torch/torch_archive.hpp"

namespace moeshift {

/// @param node of `file`. @param place its JSON pointer. @throws InputError when it is no tensor.
[[nodiscard]] std::unique_ptr<ArrayRows> tensor_rows(TorchArchive file, const PickleNode* node,
                                                     const std::string& place);

/// The same, of a file of which several tensors are read.
[[nodiscard]] std::unique_ptr<ArrayRows> tensor_rows(std::shared_ptr<TorchArchive> file,
                                                     const PickleNode* node,
                                                     const std::string& place);

}  // namespace moeshift
