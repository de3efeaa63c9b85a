// SPDX-License-Identifier: Apache-2.0
// Python pickles of plain data and PyTorch tensors, read without running anything. Internal to
// trace/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace moeshift {

struct PickleNode;

/// Numbers in a storage of their own ("data/0" of the archive).
struct PickleStorage {
  std::string type;  ///< as PyTorch names it: "LongStorage"
  std::string key;
};

/// A view of a storage; strides and offset count items.
struct PickleTensor {
  PickleStorage storage;
  std::size_t offset = 0;
  std::vector<std::size_t> shape;
  std::vector<std::size_t> stride;
};

using PickleList = std::vector<PickleNode*>;                          ///< list or tuple
using PickleDict = std::vector<std::pair<PickleNode*, PickleNode*>>;  ///< in file order

/// A class or function by name, or an object of one: never looked up, never called.
struct PickleOpaque {
  std::string name;
};

struct PickleNode {
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, PickleList, PickleDict,
               PickleStorage, PickleTensor, PickleOpaque>
      value;

  /// What `key` maps to, or null when this is no dictionary that has it.
  [[nodiscard]] const PickleNode* find(std::string_view key) const;
};

/// Owns the nodes; they may point at each other in any way the file likes, also in circles.
class Pickle {
 public:
  /// Reads protocols 2 to 5 as far as torch.save() uses them. The only functions that have an
  /// effect are torch._utils._rebuild_tensor_v2 and collections.OrderedDict, both done here; every
  /// other one makes a PickleOpaque. Work and memory are linear in the length of `bytes`.
  /// @param where what errors call the file. @throws InputError
  Pickle(std::string_view bytes, const std::string& where);

  [[nodiscard]] const PickleNode& root() const { return *root_; }

 private:
  friend class PickleMachine;
  std::deque<PickleNode> nodes_;
  const PickleNode* root_ = nullptr;
};

}  // namespace moeshift
