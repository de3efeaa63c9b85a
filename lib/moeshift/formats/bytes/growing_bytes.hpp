// SPDX-License-Identifier: Apache-2.0
// Memory that grows where it is: a document of gigabytes is neither copied nor filled with zeros on
// the way, as a vector's would be. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace moeshift {

class GrowingBytes {
 public:
  explicit GrowingBytes(std::size_t size) { grow(size); }

  [[nodiscard]] char* data() { return bytes_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// What is there stays; what is new holds anything. @throws std::bad_alloc
  void grow(std::size_t size) {
    auto* grown = static_cast<char*>(std::realloc(bytes_.get(), size));
    if (grown == nullptr) throw std::bad_alloc();
    static_cast<void>(bytes_.release());
    bytes_.reset(grown);
    size_ = size;
  }

 private:
  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<char, Free> bytes_;
  std::size_t size_ = 0;
};

}  // namespace moeshift
