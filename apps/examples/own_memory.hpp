// SPDX-License-Identifier: Apache-2.0
// Where an engine's weights are, and the transport that reaches them: host_memory.cpp or
// cuda_memory.cpp, one of which is linked.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/caller_weights.hpp"

class OwnMemory {
 public:
  OwnMemory() = default;
  OwnMemory(const OwnMemory&) = delete;
  OwnMemory& operator=(const OwnMemory&) = delete;
  virtual ~OwnMemory() = default;

  /// Lives as long as this.
  virtual std::byte* allocate(moeshift::RankId rank, std::size_t ranks, std::size_t bytes) = 0;
  virtual void write(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
  virtual void read(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
  /// What the engine is told of the slots.
  virtual std::unique_ptr<moeshift::CallerWeights> registered(moeshift::FindTensor find) = 0;
  /// Ranks that are threads of this process.
  virtual std::unique_ptr<moeshift::World> open_world(std::size_t ranks) = 0;
};

/// @param transport empty = the one that suits the memory. @throws InputError for another one's.
std::unique_ptr<OwnMemory> own_memory(std::string_view transport);
