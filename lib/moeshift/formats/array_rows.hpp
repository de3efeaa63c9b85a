// SPDX-License-Identifier: Apache-2.0
// A bare array of numbers, read row by row, whatever file it lies in. Internal to formats/.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace moeshift {

/// A row is the last dimension; rows come in C order. Numbers are doubles: exact up to 2^53.
class ArrayRows {
 public:
  ArrayRows(const ArrayRows&) = delete;
  ArrayRows& operator=(const ArrayRows&) = delete;
  virtual ~ArrayRows() = default;

  /// "x.npy#", "x.npz#/loads": what errors call it.
  [[nodiscard]] const std::string& place() const { return place_; }
  [[nodiscard]] const std::vector<std::size_t>& shape() const { return shape_; }
  /// The rows before the last dimension.
  [[nodiscard]] std::size_t num_rows() const;
  /// "x.npy#/3/0", the place of row number `row`.
  [[nodiscard]] std::string row_place(std::size_t row) const;

  /// Numbers of the first rows (whole rows, at most `most` numbers); nothing is consumed.
  [[nodiscard]] virtual std::vector<double> sample(std::size_t most) = 0;
  /// The next row, as the file has it. @throws InputError when the file ends early.
  virtual void next(std::span<double> row) = 0;
  /// @throws InputError when something follows the array.
  virtual void finish() {}

 protected:
  ArrayRows(std::string place, std::vector<std::size_t> shape)
      : place_(std::move(place)), shape_(std::move(shape)) {}

 private:
  std::string place_;
  std::vector<std::size_t> shape_;
};

/// Makes the numbers of a row loads: whole and in [0, 2^53], multiplied by `scale` and rounded
/// first unless that is 0.
/// @throws InputError naming the item.
void accept_loads(std::span<double> row, double scale, const std::string& place);
/// @throws InputError unless all numbers are whole and in [lowest, highest].
void accept_ids(std::span<const double> row, double lowest, double highest,
                const std::string& place);

}  // namespace moeshift
