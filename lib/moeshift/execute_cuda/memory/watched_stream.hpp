// SPDX-License-Identifier: Apache-2.0
// A stream that says in host memory how far it is. Asking an event instead takes a lock of the
// driver, and ranks that are threads of one process then hold up each other's copies.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/execute_cuda/runtime/handles.hpp"

namespace moeshift {

class WatchedStream {
 public:
  /// A piece of work on the stream, timed by the device.
  struct Work {
    Event begin;
    Event end;
    std::uint64_t number = 0;  ///< the stream's counter once it is done
    std::uint32_t polls = 0;
  };

  WatchedStream(const DeviceRuntime& runtime, bool high_priority);

  [[nodiscard]] DeviceStream get() const { return stream_.get(); }
  /// What is enqueued between begin() and end() is the piece of work.
  [[nodiscard]] Work begin();
  void end(Work& work);
  /// All that was enqueued so far, not timed: two calls of the driver less.
  [[nodiscard]] Work mark();
  /// Reads a word of memory; asks the driver now and then, to hear of failures.
  /// @throws DeviceError when the work failed.
  [[nodiscard]] bool done(Work& work) const;
  /// The device's time for work that is done, if it was timed. Its events are used again.
  [[nodiscard]] std::optional<Seconds> retire(Work&& work);

 private:
  [[nodiscard]] Event take_event();
  [[nodiscard]] bool write(std::uint64_t value);

  const DeviceRuntime& runtime_;
  Stream stream_;
  PinnedBuffer counter_;  ///< one word, written by the stream; null where streams cannot write
  std::uint64_t issued_ = 0;
  std::vector<Event> spare_;
};

}  // namespace moeshift
