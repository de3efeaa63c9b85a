// SPDX-License-Identifier: Apache-2.0
// The last so many loads and their sum.
#pragma once

#include <cstddef>
#include <vector>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// Keeps the newest `capacity` loads; the sum is updated, not recomputed, in O(layers * experts).
class LoadRing {
 public:
  explicit LoadRing(std::size_t capacity) : capacity_(capacity) {}

  void push(const LoadMatrix& load);

  [[nodiscard]] std::size_t size() const { return loads_.size(); }
  [[nodiscard]] bool empty() const { return loads_.empty(); }
  /// The mean of what is kept, >= 0. Only when not empty.
  [[nodiscard]] LoadMatrix mean() const;
  /// What is kept, oldest first.
  [[nodiscard]] std::vector<LoadMatrix> oldest_first() const;

 private:
  std::size_t capacity_;
  std::size_t next_ = 0;  // where the next load goes once the ring is full
  std::vector<LoadMatrix> loads_;
  LoadMatrix sum_;
};

}  // namespace moeshift
