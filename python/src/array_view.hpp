// SPDX-License-Identifier: Apache-2.0
// Numbers of an array that somebody else owns, read where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

namespace moeshift::python {

enum class Element : std::uint8_t { kSigned, kUnsigned, kFloat, kBFloat };

/// A view of an array of any number of dimensions, however strided; keeps its owner alive.
class ArrayView {
 public:
  /// @param object has the buffer protocol (NumPy) or `__dlpack__` (torch and others, on the CPU).
  /// @param name what errors call it.
  /// @throws InputError for what is no array of real numbers in this machine's byte order, and for
  ///         memory of another device.
  ArrayView(const pybind11::object& object, std::string name);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<std::ptrdiff_t>& shape() const { return shape_; }
  [[nodiscard]] std::size_t dimensions() const { return shape_.size(); }
  [[nodiscard]] std::size_t extent(std::size_t dimension) const {
    return static_cast<std::size_t>(shape_[dimension]);
  }
  [[nodiscard]] bool whole_numbers() const {
    return element_ == Element::kSigned || element_ == Element::kUnsigned;
  }
  /// "float32 [3, 4]".
  [[nodiscard]] std::string described() const;

  /// Part `index` of the first dimension; the view must outlive it.
  [[nodiscard]] ArrayView operator[](std::size_t index) const;
  /// The items of a view of one dimension, [extent(0)].
  void copy_to(double* to) const;
  void copy_to(std::int64_t* to) const;

 private:
  ArrayView() = default;
  bool take_buffer(const pybind11::object& object);
  bool take_dlpack(const pybind11::object& object);
  void set_element(char code);
  template <class To>
  void convert(To* to) const;
  template <class From, class To>
  void convert_from(To* to) const;

  std::string name_;
  const std::byte* data_ = nullptr;
  std::vector<std::ptrdiff_t> shape_;
  std::vector<std::ptrdiff_t> strides_;  ///< bytes
  Element element_ = Element::kFloat;
  std::size_t size_ = 0;  ///< bytes of an item
  std::shared_ptr<void> owner_;
};

}  // namespace moeshift::python
