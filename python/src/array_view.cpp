// SPDX-License-Identifier: Apache-2.0
#include "array_view.hpp"

#include <bit>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"

#include "dlpack.hpp"

namespace moeshift::python {
namespace {

namespace py = pybind11;

/// IEEE half, and the upper half of a float; only ever read.
struct Half {
  std::uint16_t bits;
  explicit operator double() const {
    const int exponent = (bits >> 10) & 0x1F;
    const int mantissa = bits & 0x3FF;
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    if (exponent == 0) return sign * mantissa * 0x1p-24;
    if (exponent == 31) {
      constexpr double kInfinity = std::numeric_limits<double>::infinity();
      return mantissa == 0 ? sign * kInfinity : std::numeric_limits<double>::quiet_NaN();
    }
    return sign * (1 + mantissa * 0x1p-10) * std::bit_cast<double>((exponent + 1008LL) << 52);
  }
  explicit operator std::int64_t() const { return 0; }  // never asked: not a whole number
};
struct BFloat {
  std::uint16_t bits;
  explicit operator double() const {
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U));
  }
  explicit operator std::int64_t() const { return 0; }
};

std::string type_name(const py::object& object) {
  return py::str(py::type::of(object).attr("__name__"));
}

void release_buffer(Py_buffer* buffer) {
  const py::gil_scoped_acquire acquired;
  PyBuffer_Release(buffer);
  delete buffer;
}

void release_tensor(dlpack::ManagedTensor* tensor) {
  const py::gil_scoped_acquire acquired;
  if (tensor->deleter != nullptr) tensor->deleter(tensor);
}

Element element_of(std::uint8_t code, const std::string& name) {
  switch (code) {
    case dlpack::kInt:
      return Element::kSigned;
    case dlpack::kUnsigned:
      return Element::kUnsigned;
    case dlpack::kFloat:
      return Element::kFloat;
    case dlpack::kBFloat:
      return Element::kBFloat;
    default:
      throw InputError(name, "expected integers or floats, got another type of DLPack");
  }
}

}  // namespace

ArrayView::ArrayView(const py::object& object, std::string name) : name_(std::move(name)) {
  if (take_buffer(object) || take_dlpack(object)) return;
  throw InputError(name_, fmt::format("expected an array (NumPy, torch on the CPU, anything with "
                                      "the buffer protocol or __dlpack__), got {}",
                                      type_name(object)));
}

void ArrayView::set_element(char code) {
  constexpr std::string_view kSigned = "bhilqn";
  constexpr std::string_view kUnsigned = "BHILQN";
  if (kSigned.find(code) != std::string_view::npos) {
    element_ = Element::kSigned;
  } else if (kUnsigned.find(code) != std::string_view::npos) {
    element_ = Element::kUnsigned;
  } else if (code == 'e' || code == 'f' || code == 'd') {
    element_ = Element::kFloat;
  } else {
    throw InputError(name_, fmt::format("expected integers or floats, got items of the type '{}' "
                                        "of Python's struct module",
                                        code));
  }
}

bool ArrayView::take_buffer(const py::object& object) {
  if (PyObject_CheckBuffer(object.ptr()) == 0) return false;
  auto* raw = new Py_buffer{};
  if (PyObject_GetBuffer(object.ptr(), raw, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
    delete raw;
    // The reason is the owner's: a type that the protocol does not know, say.
    const py::error_already_set reason;
    throw InputError(name_, fmt::format("cannot be read as an array of numbers: {}",
                                        std::string(py::str(reason.value()))));
  }
  owner_ = std::shared_ptr<Py_buffer>(raw, release_buffer);
  std::string_view format = raw->format == nullptr ? "B" : raw->format;
  const bool foreign = std::endian::native == std::endian::little
                           ? format.starts_with('>') || format.starts_with('!')
                           : format.starts_with('<');
  if (foreign) throw InputError(name_, "is in another byte order than this machine's");
  if (!format.empty() && std::string_view("@=<>!").find(format[0]) != std::string_view::npos) {
    format.remove_prefix(1);
  }
  if (format.size() != 1) {
    throw InputError(
        name_, fmt::format("expected integers or floats, got items of the form '{}'", format));
  }
  set_element(format[0]);
  size_ = static_cast<std::size_t>(raw->itemsize);
  data_ = static_cast<const std::byte*>(raw->buf);
  shape_.assign(raw->shape, raw->shape + raw->ndim);
  strides_.assign(raw->strides, raw->strides + raw->ndim);
  return true;
}

bool ArrayView::take_dlpack(const py::object& object) {
  if (!py::hasattr(object, "__dlpack__") || !py::hasattr(object, "__dlpack_device__")) return false;
  // What the owner says when it cannot, with the array's name.
  const auto asked = [&](const char* method) -> py::object {
    try {
      return object.attr(method)();
    } catch (py::error_already_set& reason) {
      if (!reason.matches(PyExc_Exception)) throw;
      throw InputError(name_, fmt::format("cannot be read as an array: {}",
                                          std::string(py::str(reason.value()))));
    }
  };
  const auto device = py::cast<std::pair<py::int_, py::int_>>(asked("__dlpack_device__"));
  const auto type = py::cast<std::int32_t>(device.first);
  if (type != dlpack::kCpu && type != dlpack::kPinned) {
    throw InputError(name_, fmt::format("lies on a device (type {} of DLPack): copy it to the CPU "
                                        "first",
                                        type));
  }
  const py::object capsule = asked("__dlpack__");
  void* pointer = PyCapsule_GetPointer(capsule.ptr(), "dltensor");
  if (pointer == nullptr) {
    PyErr_Clear();
    throw InputError(name_, "__dlpack__ gave no capsule called 'dltensor'");
  }
  auto* managed = static_cast<dlpack::ManagedTensor*>(pointer);
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  owner_ = std::shared_ptr<dlpack::ManagedTensor>(managed, release_tensor);
  const dlpack::Tensor& tensor = managed->tensor;
  element_ = element_of(tensor.type.code, name_);
  if (tensor.type.lanes != 1) throw InputError(name_, "expected single numbers, got vectors");
  size_ = tensor.type.bits / 8U;
  data_ = static_cast<const std::byte*>(tensor.data) + tensor.byte_offset;
  shape_.assign(tensor.shape, tensor.shape + tensor.dimensions);
  strides_.resize(shape_.size());
  std::ptrdiff_t compact = static_cast<std::ptrdiff_t>(size_);
  for (std::size_t d = shape_.size(); d-- > 0;) {
    strides_[d] = tensor.strides == nullptr
                      ? compact
                      : tensor.strides[d] * static_cast<std::ptrdiff_t>(size_);
    compact *= shape_[d];
  }
  return true;
}

std::string ArrayView::described() const {
  const char* kind = element_ == Element::kSigned     ? "int"
                     : element_ == Element::kUnsigned ? "uint"
                     : element_ == Element::kBFloat   ? "bfloat"
                                                      : "float";
  return fmt::format("{}{} [{}]", kind, size_ * 8, fmt::join(shape_, ", "));
}

ArrayView ArrayView::operator[](std::size_t index) const {
  ArrayView part;
  part.name_ = name_;
  part.data_ = data_ + static_cast<std::ptrdiff_t>(index) * strides_[0];
  part.shape_.assign(shape_.begin() + 1, shape_.end());
  part.strides_.assign(strides_.begin() + 1, strides_.end());
  part.element_ = element_;
  part.size_ = size_;
  return part;
}

template <class From, class To>
void ArrayView::convert_from(To* to) const {
  const std::byte* from = data_;
  for (std::ptrdiff_t i = 0; i < shape_[0]; ++i, from += strides_[0]) {
    From item;
    std::memcpy(&item, from, sizeof item);  // rows of a strided array need not be aligned
    to[i] = static_cast<To>(item);
  }
}

template <class To>
void ArrayView::convert(To* to) const {
  const auto is = [this](Element element, std::size_t size) {
    return element_ == element && size_ == size;
  };
  if (is(Element::kFloat, 8)) return convert_from<double>(to);
  if (is(Element::kFloat, 4)) return convert_from<float>(to);
  if (is(Element::kFloat, 2)) return convert_from<Half>(to);
  if (is(Element::kBFloat, 2)) return convert_from<BFloat>(to);
  if (is(Element::kSigned, 8)) return convert_from<std::int64_t>(to);
  if (is(Element::kSigned, 4)) return convert_from<std::int32_t>(to);
  if (is(Element::kSigned, 2)) return convert_from<std::int16_t>(to);
  if (is(Element::kSigned, 1)) return convert_from<std::int8_t>(to);
  if (is(Element::kUnsigned, 8)) return convert_from<std::uint64_t>(to);
  if (is(Element::kUnsigned, 4)) return convert_from<std::uint32_t>(to);
  if (is(Element::kUnsigned, 2)) return convert_from<std::uint16_t>(to);
  if (is(Element::kUnsigned, 1)) return convert_from<std::uint8_t>(to);
  throw InputError(name_, fmt::format("cannot read items of {}", described()));
}

void ArrayView::copy_to(double* to) const {
  convert(to);
}

void ArrayView::copy_to(std::int64_t* to) const {
  if (!whole_numbers()) throw InputError(name_, "expected whole numbers, got " + described());
  convert(to);
}

}  // namespace moeshift::python
