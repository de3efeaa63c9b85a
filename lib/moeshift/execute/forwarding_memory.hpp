// SPDX-License-Identifier: Apache-2.0
// A DeviceMemory in front of another one: what changes one thing about memory overrides one thing.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "moeshift/execute/device_memory.hpp"

namespace moeshift {

class ForwardingMemory : public DeviceMemory {
 public:
  explicit ForwardingMemory(std::unique_ptr<DeviceMemory> inner) : inner_(std::move(inner)) {}

  [[nodiscard]] std::optional<Bytes> available() const override { return inner_->available(); }
  [[nodiscard]] std::byte* allocate(Bytes bytes) override { return inner_->allocate(bytes); }
  [[nodiscard]] std::unique_ptr<Pending> copy(std::span<const CopyRequest> copies,
                                              CopyLane lane) override {
    return inner_->copy(copies, lane);
  }
  [[nodiscard]] std::unique_ptr<Pending> point(std::byte* table,
                                               std::span<const PointerChange> changes,
                                               ModelStream stream) override {
    return inner_->point(table, changes, stream);
  }
  [[nodiscard]] std::vector<std::byte*> pointers(const std::byte* table, std::size_t first,
                                                 std::size_t count) override {
    return inner_->pointers(table, first, count);
  }
  [[nodiscard]] std::unique_ptr<Pending> fill(std::span<const PatternTask> tasks,
                                              const SlotLayout& layout) override {
    return inner_->fill(tasks, layout);
  }
  [[nodiscard]] std::unique_ptr<Verification> verify(std::span<const PatternTask> tasks,
                                                     const SlotLayout& layout) override {
    return inner_->verify(tasks, layout);
  }
  [[nodiscard]] std::unique_ptr<Pending> poison(std::byte* start, Bytes bytes) override {
    return inner_->poison(start, bytes);
  }
  void corrupt(std::byte* byte) override { inner_->corrupt(byte); }

 protected:
  [[nodiscard]] DeviceMemory& inner() { return *inner_; }
  [[nodiscard]] const DeviceMemory& inner() const { return *inner_; }

 private:
  std::unique_ptr<DeviceMemory> inner_;
};

}  // namespace moeshift
