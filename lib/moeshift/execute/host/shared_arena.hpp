// SPDX-License-Identifier: Apache-2.0
// Memory that the processes of one machine can see of each other. It has no name in the file
// system, so nothing is left behind whoever dies; or it is a file that is meant to be.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "moeshift/core/ids.hpp"
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
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::byte* start_ = nullptr;
  std::size_t bytes_ = 0;
};

/// One file, handed out from its start to its end.
class SharedArena final : public MemorySource {
 public:
  /// Anonymous, and sealed at its size: no peer can shrink it under us, nor we under a peer.
  explicit SharedArena(Bytes limit);
  /// In a file that stays: what a run leaves there, the next one finds (kept()).
  /// @throws InputError when it cannot be opened.
  SharedArena(Bytes limit, const std::string& image);

  [[nodiscard]] std::byte* allocate(Bytes bytes) override;
  [[nodiscard]] Bytes left() const override;
  [[nodiscard]] bool kept() const override { return kept_; }

  /// How far `pointer` is into the arena; the same in every process.
  [[nodiscard]] std::int64_t offset_of(const std::byte* pointer) const {
    return pointer - mapping_.start();
  }
  /// To be handed to peers.
  [[nodiscard]] int file() const { return file_.get(); }
  [[nodiscard]] bool is_image() const { return image_; }

 private:
  mutable std::mutex mutex_;
  std::int64_t limit_;
  std::int64_t used_ = 0;
  bool image_ = false;
  bool kept_ = false;
  FileDescriptor file_;
  SharedMapping mapping_;
};

/// The arena of `rank` in a folder of images, one file each.
[[nodiscard]] std::shared_ptr<SharedArena> arena_in_image(Bytes limit, const std::string& folder,
                                                          RankId rank);

/// Maps the arena that a peer has handed over; stays valid when that process dies.
/// @param least bytes that it must have.
/// @param images ours lies in a file, so theirs may.
/// @throws DeviceError when it is too small or could be shrunk.
[[nodiscard]] SharedMapping map_arena(const FileDescriptor& file, std::size_t least, bool images);

}  // namespace moeshift
