// SPDX-License-Identifier: Apache-2.0
// The stack machine of Python's pickletools, less everything that would run code.
#include "moeshift/formats/torch/pickle.hpp"

#include <bit>
#include <cstring>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

// Names and shapes are copied each time they are used, so they must not be long.
constexpr std::size_t kLongestName = 200;
constexpr std::size_t kMostDimensions = 8;

template <class T>
const T* as(const PickleNode* node) {
  return std::get_if<T>(&node->value);
}

}  // namespace

const PickleNode* PickleNode::find(std::string_view key) const {
  const auto* dict = std::get_if<PickleDict>(&value);
  if (dict == nullptr) return nullptr;
  for (const auto& [name, item] : *dict) {
    const auto* text = as<std::string>(name);
    if (text != nullptr && *text == key) return item;
  }
  return nullptr;
}

class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, std::string_view bytes, const std::string& where)
      : pickle_(pickle), bytes_(bytes), where_(where) {}

  void run() {
    while (pickle_.root_ == nullptr) step(static_cast<unsigned char>(take(1)[0]));
  }

 private:
  using Node = PickleNode;

  [[noreturn]] void fail(const std::string& expectation) const {
    throw InputError(fmt::format("{}#/byte/{}", where_, at_), expectation);
  }

  std::string_view take(std::size_t count) {
    if (bytes_.size() - at_ < count) fail("the pickle is cut off");
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  template <class T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("the pickle is cut off");
    std::string text(take(end - at_));
    ++at_;
    return text;
  }

  template <class T>
  void push(T value) {
    pickle_.nodes_.push_back({std::move(value)});
    stack_.push_back(&pickle_.nodes_.back());
  }

  Node* pop() {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) fail("expected a value on the stack");
    Node* node = stack_.back();
    stack_.pop_back();
    return node;
  }

  /// Everything above the last mark.
  PickleList pop_mark() {
    if (marks_.empty()) fail("expected a mark on the stack");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    PickleList items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }

  Node* top() {
    Node* node = pop();
    stack_.push_back(node);
    return node;
  }

  void step(unsigned char code);
  void step_number(unsigned char code);
  void step_text(unsigned char code);
  void step_collection(unsigned char code);
  void step_memo(unsigned char code);
  void step_object(unsigned char code);

  std::int64_t long_number();
  void opaque(const std::string& module, const std::string& name);
  void append(const PickleList& items);
  void set_items(const PickleList& items);
  void tuple(std::size_t count);
  void memorize(std::uint64_t index) { memo_[index] = top(); }
  void recall(std::uint64_t index);
  void storage();
  void reduce();
  std::optional<PickleTensor> rebuilt(const PickleList& arguments) const;
  std::optional<std::vector<std::size_t>> sizes(const Node* node) const;

  Pickle& pickle_;
  std::string_view bytes_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::vector<Node*> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint64_t, Node*> memo_;
};

void PickleMachine::step(unsigned char code) {
  switch (code) {
    case 0x80:  // PROTO
      if (take(1)[0] > 5) fail("expected a pickle of protocol 2 to 5");
      return;
    case 0x95:  // FRAME
      take(8);
      return;
    case '.':
      pickle_.root_ = pop();
      return;
    case '0':
      static_cast<void>(pop());
      return;
    case '(':
      marks_.push_back(stack_.size());
      return;
    case 'N':
      return push(nullptr);
    case 0x88:
      return push(true);
    case 0x89:
      return push(false);
    default:
      return step_number(code);
  }
}

void PickleMachine::step_number(unsigned char code) {
  switch (code) {
    case 'J':
      return push(std::int64_t{number<std::int32_t>()});
    case 'K':
      return push(std::int64_t{number<std::uint8_t>()});
    case 'M':
      return push(std::int64_t{number<std::uint16_t>()});
    case 0x8a:  // LONG1
      return push(long_number());
    case 'G': {  // big endian
      std::uint64_t bits = 0;
      for (const char c : take(8)) bits = bits << 8U | static_cast<unsigned char>(c);
      return push(std::bit_cast<double>(bits));
    }
    default:
      return step_text(code);
  }
}

void PickleMachine::step_text(unsigned char code) {
  switch (code) {
    case 'X':
    case 'B':
      return push(std::string(take(number<std::uint32_t>())));
    case 0x8c:  // SHORT_BINUNICODE
    case 'C':
      return push(std::string(take(number<std::uint8_t>())));
    case 'c': {  // GLOBAL
      const std::string module = line();
      return opaque(module, line());
    }
    case 0x93: {  // STACK_GLOBAL
      const auto* name = as<std::string>(pop());
      const auto* module = as<std::string>(pop());
      if (name == nullptr || module == nullptr) fail("expected the name of a class");
      return opaque(*module, *name);
    }
    default:
      return step_collection(code);
  }
}

void PickleMachine::opaque(const std::string& module, const std::string& name) {
  if (module.size() + name.size() > kLongestName) fail("expected the name of a class");
  push(PickleOpaque{module + "." + name});
}

void PickleMachine::step_collection(unsigned char code) {
  switch (code) {
    case '}':
      return push(PickleDict{});
    case ']':
    case ')':
      return push(PickleList{});
    case 't':
      return push(pop_mark());
    case 0x85:
    case 0x86:
    case 0x87:
      return tuple(code - 0x84U);
    case 'a': {
      Node* item = pop();
      return append({item});
    }
    case 'e':
      return append(pop_mark());
    case 's': {
      Node* value = pop();
      Node* key = pop();
      return set_items({key, value});
    }
    case 'u':
      return set_items(pop_mark());
    default:
      return step_memo(code);
  }
}

void PickleMachine::step_memo(unsigned char code) {
  switch (code) {
    case 'q':
      return memorize(number<std::uint8_t>());
    case 'r':
      return memorize(number<std::uint32_t>());
    case 0x94:  // MEMOIZE
      return memorize(memo_.size());
    case 'h':
      return recall(number<std::uint8_t>());
    case 'j':
      return recall(number<std::uint32_t>());
    default:
      return step_object(code);
  }
}

void PickleMachine::step_object(unsigned char code) {
  switch (code) {
    case 'Q':
      return storage();
    case 'R':
      return reduce();
    case 0x81: {  // NEWOBJ
      static_cast<void>(pop());
      const auto* type = as<PickleOpaque>(pop());
      return push(PickleOpaque{type == nullptr ? "object" : type->name});
    }
    case 'b':  // BUILD: the state of an object that we do not have
      static_cast<void>(pop());
      return;
    default:
      fail(fmt::format("expected what torch.save() writes, found opcode {:#04x}", code));
  }
}

std::int64_t PickleMachine::long_number() {
  const std::size_t size = number<std::uint8_t>();
  const std::string_view digits = take(size);
  if (size > 8) fail("expected a number of at most 64 bits");
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    bits |= std::uint64_t{static_cast<unsigned char>(digits[i])} << (8 * i);
  }
  const bool negative = size > 0 && (static_cast<unsigned char>(digits[size - 1]) & 0x80U) != 0;
  if (negative && size < 8) bits |= ~std::uint64_t{0} << (8 * size);
  return std::bit_cast<std::int64_t>(bits);
}

void PickleMachine::append(const PickleList& items) {
  auto* list = std::get_if<PickleList>(&top()->value);
  if (list == nullptr) fail("expected a list on the stack");
  list->insert(list->end(), items.begin(), items.end());
}

void PickleMachine::set_items(const PickleList& items) {
  Node* node = top();
  if (as<PickleOpaque>(node) != nullptr) return;
  auto* dict = std::get_if<PickleDict>(&node->value);
  if (dict == nullptr || items.size() % 2 != 0) fail("expected a dictionary on the stack");
  for (std::size_t i = 0; i < items.size(); i += 2) dict->emplace_back(items[i], items[i + 1]);
}

void PickleMachine::tuple(std::size_t count) {
  PickleList items(count);
  for (std::size_t i = count; i-- > 0;) items[i] = pop();
  push(std::move(items));
}

void PickleMachine::recall(std::uint64_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) fail("expected a value that was stored before");
  stack_.push_back(found->second);
}

/// ("storage", type, key, device, length).
void PickleMachine::storage() {
  const auto* id = as<PickleList>(pop());
  if (id == nullptr || id->size() < 3) fail("expected the name of a storage");
  const auto* type = as<PickleOpaque>((*id)[1]);
  const auto* key = as<std::string>((*id)[2]);
  if (type == nullptr || key == nullptr || key->size() > kLongestName) {
    fail("expected the name of a storage");
  }
  push(PickleStorage{type->name, *key});
}

void PickleMachine::reduce() {
  const Node* arguments = pop();
  const auto* function = as<PickleOpaque>(pop());
  const auto* list = as<PickleList>(arguments);
  if (function == nullptr || list == nullptr) return push(PickleOpaque{"object"});
  if (function->name == "collections.OrderedDict") return push(PickleDict{});
  if (function->name == "torch._utils._rebuild_tensor_v2") {
    auto tensor = rebuilt(*list);
    if (!tensor) fail("expected storage, offset, shape and stride of a tensor");
    return push(*std::move(tensor));
  }
  push(PickleOpaque{function->name});
}

std::optional<PickleTensor> PickleMachine::rebuilt(const PickleList& arguments) const {
  if (arguments.size() < 4) return {};
  const auto* storage = as<PickleStorage>(arguments[0]);
  const auto* offset = as<std::int64_t>(arguments[1]);
  const auto shape = sizes(arguments[2]);
  const auto stride = sizes(arguments[3]);
  if (storage == nullptr || offset == nullptr || *offset < 0 || !shape || !stride) return {};
  if (shape->size() != stride->size()) return {};
  return PickleTensor{*storage, static_cast<std::size_t>(*offset), *shape, *stride};
}

std::optional<std::vector<std::size_t>> PickleMachine::sizes(const Node* node) const {
  const auto* list = as<PickleList>(node);
  if (list == nullptr || list->size() > kMostDimensions) return {};
  std::vector<std::size_t> values;
  for (const Node* item : *list) {
    const auto* value = as<std::int64_t>(item);
    if (value == nullptr || *value < 0) return {};
    values.push_back(static_cast<std::size_t>(*value));
  }
  return values;
}

Pickle::Pickle(std::string_view bytes, const std::string& where) {
  PickleMachine(*this, bytes, where).run();
}

}  // namespace moeshift
