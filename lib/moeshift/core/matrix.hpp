// SPDX-License-Identifier: Apache-2.0
// A dense row-major matrix whose rows and columns are ids.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "moeshift/core/ids.hpp"

namespace moeshift {

template <class RowId, class ColumnId, class T>
class IdMatrix {
 public:
  IdMatrix() = default;
  IdMatrix(std::size_t rows, std::size_t columns, const T& value = T{})
      : rows_(rows), columns_(columns), items_(rows * columns, value) {}

  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t columns() const { return columns_; }
  [[nodiscard]] auto row_ids() const { return all_ids<RowId>(rows_); }
  [[nodiscard]] auto column_ids() const { return all_ids<ColumnId>(columns_); }

  [[nodiscard]] T& operator()(RowId row, ColumnId column) {
    return items_[row.index() * columns_ + column.index()];
  }
  [[nodiscard]] const T& operator()(RowId row, ColumnId column) const {
    return items_[row.index() * columns_ + column.index()];
  }

  [[nodiscard]] std::span<T> row(RowId row) {
    return std::span<T>(items_).subspan(row.index() * columns_, columns_);
  }
  [[nodiscard]] std::span<const T> row(RowId row) const {
    return std::span<const T>(items_).subspan(row.index() * columns_, columns_);
  }

  /// All items, row after row.
  [[nodiscard]] std::span<T> items() { return items_; }
  [[nodiscard]] std::span<const T> items() const { return items_; }

  bool operator==(const IdMatrix&) const = default;

 private:
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::vector<T> items_;
};

}  // namespace moeshift
