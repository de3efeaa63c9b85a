// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/torch/tensor_rows.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

class TensorRows final : public ArrayRows {
 public:
  TensorRows(std::shared_ptr<TorchArchive> file, const PickleTensor& tensor,
             const std::string& pointer)
      : ArrayRows(file->name() + "#" + pointer, tensor.shape),
        file_(std::move(file)),
        tensor_(tensor) {}

  std::vector<double> sample(std::size_t most) override {
    const std::size_t length = shape().back();
    const std::size_t rows = std::min(num_rows(), most / length);
    std::vector<double> numbers(rows * length);
    for (std::size_t i = 0; i < rows; ++i) {
      read(i, std::span(numbers).subspan(i * length, length));
    }
    return numbers;
  }

  void next(std::span<double> row) override { read(done_++, row); }

 private:
  void read(std::size_t number, std::span<double> row) {
    std::vector<std::size_t> index(shape().size() - 1);
    std::size_t rest = number;
    for (std::size_t i = index.size(); i-- > 0;) {
      index[i] = rest % shape()[i];
      rest /= shape()[i];
    }
    file_->read_row(tensor_, index, row, row_place(number).substr(file_->name().size() + 1));
  }

  std::shared_ptr<TorchArchive> file_;
  const PickleTensor& tensor_;  ///< of file_, which does not move it
  std::size_t done_ = 0;
};

}  // namespace

std::unique_ptr<ArrayRows> tensor_rows(std::shared_ptr<TorchArchive> file, const PickleNode* node,
                                       const std::string& place) {
  const PickleTensor& tensor = file->tensor(node, place);
  if (tensor.shape.empty()) {
    throw InputError(file->name() + "#" + place, "expected an array, found one number");
  }
  return std::make_unique<TensorRows>(std::move(file), tensor, place);
}

std::unique_ptr<ArrayRows> tensor_rows(TorchArchive file, const PickleNode* node,
                                       const std::string& place) {
  return tensor_rows(std::make_shared<TorchArchive>(std::move(file)), node, place);
}

}  // namespace moeshift
