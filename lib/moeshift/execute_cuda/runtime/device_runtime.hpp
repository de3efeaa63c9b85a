// SPDX-License-Identifier: Apache-2.0
// What a device's run-time library does for us: devices, memory, streams, events, copies. One class
// for CUDA and HIP (cuda_shape.hpp), which have the same calls under two names, one for Ascend's
// ACL (acl_runtime.hpp). Streams and events are the library's own handles; nobody but the run time
// looks into them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/execute/device_memory.hpp"

namespace moeshift {

/// Names and values for the result file.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// A device ordinal of this process; a RankId is something else.
struct DeviceId {
  int ordinal = 0;
  auto operator<=>(const DeviceId&) const = default;
};

using DeviceStream = void*;
using DeviceEvent = void*;

/// What an event is for.
enum class EventKind : std::uint8_t { kOrder, kTiming };

/// Which way bytes go; kAny lets the run time look at the addresses, where it can.
enum class CopyKind : std::uint8_t { kToDevice, kToHost, kWithin, kAny };

/// How many bytes of the bound device are free, and how many it has.
struct DeviceBytes {
  std::size_t free = 0;
  std::size_t total = 0;
};

/// Memory of one process in a form that another one of the same machine can map.
struct MemoryTicket {
  std::array<char, 64> bytes{};
};

/// Every call but the noexcept ones throws DeviceError with the library's own text and the name of
/// its function. Calls are made for the device that the calling thread is bound to, and may come
/// from any thread.
class DeviceRuntime {
 public:
  DeviceRuntime() = default;
  DeviceRuntime(const DeviceRuntime&) = delete;
  DeviceRuntime& operator=(const DeviceRuntime&) = delete;
  virtual ~DeviceRuntime() = default;

  /// "CUDA", "HIP", "ACL".
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Empty when there is a device that works; else why not, as a sentence.
  [[nodiscard]] virtual std::string unavailable_reason() const = 0;
  /// 0 when there is none, or no library.
  [[nodiscard]] virtual std::size_t visible_devices() const = 0;
  /// Versions, by name: "cuda_driver", "cuda_runtime".
  [[nodiscard]] virtual Facts versions() const = 0;
  [[nodiscard]] virtual std::string device_name(DeviceId device) const = 0;
  /// Name, memory and place of one device.
  [[nodiscard]] virtual Facts device_facts(DeviceId device) const = 0;
  /// Its place in the machine, "0000:1b:00.0": processes may number devices differently.
  [[nodiscard]] virtual std::string place_of(DeviceId device) const = 0;
  [[nodiscard]] virtual DeviceId device_at(const std::string& place) const = 0;

  /// Binds the calling thread.
  virtual void bind(DeviceId device) const = 0;
  [[nodiscard]] virtual DeviceBytes memory() const = 0;
  [[nodiscard]] virtual bool reaches(DeviceId own, DeviceId peer) const = 0;
  /// Lets the bound device reach `peer`'s memory; once per pair.
  virtual void allow_access_to(DeviceId peer) const = 0;

  /// Null when there is not so much.
  [[nodiscard]] virtual void* allocate(std::size_t bytes) const = 0;
  virtual void free(void* start) const noexcept = 0;
  /// Host memory that the device reads and writes without a bounce.
  [[nodiscard]] virtual void* allocate_pinned(std::size_t bytes) const = 0;
  virtual void free_pinned(void* start) const noexcept = 0;
  /// Memory that is taken and given back in the order of a stream: allocate() and free() may wait
  /// for a kernel that waits for a peer.
  [[nodiscard]] virtual void* allocate_on(std::size_t bytes, DeviceStream stream) const = 0;
  virtual void free_on(void* start, DeviceStream stream) const noexcept = 0;
  [[nodiscard]] virtual MemoryTicket share(void* start) const = 0;
  [[nodiscard]] virtual void* map(const MemoryTicket& ticket) const = 0;
  virtual void unmap(void* start) const noexcept = 0;

  /// A stream that never waits for the default stream.
  [[nodiscard]] virtual DeviceStream create_stream(bool high_priority) const = 0;
  virtual void destroy_stream(DeviceStream stream) const noexcept = 0;
  [[nodiscard]] virtual DeviceEvent create_event(EventKind kind) const = 0;
  virtual void destroy_event(DeviceEvent event) const noexcept = 0;
  virtual void record(DeviceEvent event, DeviceStream stream) const = 0;
  /// True when everything enqueued before it is done; throws when that failed.
  [[nodiscard]] virtual bool passed(DeviceEvent event) const = 0;
  /// The same for all that is on the stream.
  [[nodiscard]] virtual bool idle(DeviceStream stream) const = 0;
  virtual void synchronize(DeviceStream stream) const = 0;
  /// Between two timing events that have both passed.
  [[nodiscard]] virtual Seconds elapsed(DeviceEvent from, DeviceEvent to) const = 0;

  virtual void copy(void* to, const void* from, std::size_t bytes, CopyKind kind,
                    DeviceStream stream) const = 0;
  /// In no particular order among themselves.
  /// @param engines by the copy engines, if the run time takes such a hint
  virtual void copy_all(std::span<const CopyRequest> copies, bool engines,
                        DeviceStream stream) const = 0;
  virtual void set(void* start, int value, std::size_t bytes, DeviceStream stream) const = 0;
  /// Writes a word of pinned memory once the stream is there; false where streams cannot.
  [[nodiscard]] virtual bool write_word(DeviceStream stream, std::uint64_t* word,
                                        std::uint64_t value) const = 0;

  /// A named range for a profiler, which may overlap others.
  [[nodiscard]] virtual std::uint64_t range_begin(const std::string& /*name*/) const { return 0; }
  virtual void range_end(std::uint64_t /*range*/) const {}
};

}  // namespace moeshift
