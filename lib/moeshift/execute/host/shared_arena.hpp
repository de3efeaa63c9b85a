// SPDX-License-Identifier: Apache-2.0
// Memory that the processes of one machine can see of each other. It has no name in the file
// system, so nothing is left behind whoever dies.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>

#include "moeshift/execute/file_descriptor.hpp"
#include "moeshift/execute/host/host_memory.hpp"

namespace moeshift {

/// A mapping of shared memory, ours or a peer's.
class SharedMapping {
 public:
  SharedMapping() = default;
  /// @throws DeviceError.
  SharedMapping(int file, std::size_t bytes);
  SharedMapping(SharedMapping&& other) noexcept;
  SharedMapping& operator=(SharedMapping&& other) noexcept;
  ~SharedMapping();

  [[nodiscard]] std::byte* start() const { return start_; }

 private:
  std::byte* start_ = nullptr;
  std::size_t bytes_ = 0;
};

/// One anonymous file, handed out from its start to its end.
class SharedArena final : public MemorySource {
 public:
  explicit SharedArena(Bytes limit);

  [[nodiscard]] std::byte* allocate(Bytes bytes) override;
  [[nodiscard]] Bytes left() const override;

  /// How far `pointer` is into the arena; the same in every process.
  [[nodiscard]] std::int64_t offset_of(const std::byte* pointer) const {
    return pointer - mapping_.start();
  }
  /// What a peer needs to map this arena.
  [[nodiscard]] std::string ticket() const;

 private:
  mutable std::mutex mutex_;
  std::int64_t limit_;
  std::int64_t used_ = 0;
  FileDescriptor file_;
  SharedMapping mapping_;
};

/// Maps the arena of the process that wrote `ticket`; stays valid when that process dies.
/// @throws DeviceError when it may not be seen (another user's, another machine's).
[[nodiscard]] SharedMapping map_arena(const std::string& ticket);

}  // namespace moeshift
