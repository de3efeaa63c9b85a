// SPDX-License-Identifier: Apache-2.0
// A vector that only its own kind of id may index.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "moeshift/core/ids.hpp"

namespace moeshift {

template <class IdType, class T>
class IdVector {
 public:
  IdVector() = default;
  explicit IdVector(std::size_t size, const T& value = T{}) : items_(size, value) {}
  explicit IdVector(std::vector<T> items) : items_(std::move(items)) {}
  IdVector(std::initializer_list<T> items) : items_(items) {}

  [[nodiscard]] decltype(auto) operator[](IdType id) { return items_[id.index()]; }
  [[nodiscard]] decltype(auto) operator[](IdType id) const { return items_[id.index()]; }

  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] bool empty() const { return items_.empty(); }
  [[nodiscard]] auto ids() const { return all_ids<IdType>(items_.size()); }

  [[nodiscard]] auto begin() { return items_.begin(); }
  [[nodiscard]] auto end() { return items_.end(); }
  [[nodiscard]] auto begin() const { return items_.begin(); }
  [[nodiscard]] auto end() const { return items_.end(); }

  void assign(std::size_t size, const T& value) { items_.assign(size, value); }
  void push_back(T value) { items_.push_back(std::move(value)); }

  /// The bare items, where an interface needs them (JSON, Eigen, C).
  [[nodiscard]] const std::vector<T>& items() const { return items_; }
  [[nodiscard]] std::vector<T>& items() { return items_; }

  bool operator==(const IdVector&) const = default;

 private:
  std::vector<T> items_;
};

}  // namespace moeshift
