// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute_cuda/runtime/handles.hpp"

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {

Stream make_stream(const DeviceRuntime& runtime, bool high_priority) {
  return {runtime.create_stream(high_priority), {&runtime}};
}

Event make_event(const DeviceRuntime& runtime) {
  return {runtime.create_event(EventKind::kOrder), {&runtime}};
}

Event make_timing_event(const DeviceRuntime& runtime) {
  return {runtime.create_event(EventKind::kTiming), {&runtime}};
}

DeviceBuffer allocate_device(const DeviceRuntime& runtime, Bytes bytes) {
  void* start = runtime.allocate(static_cast<std::size_t>(bytes.count()));
  if (start != nullptr) return {start, {&runtime}};
  const DeviceBytes memory = runtime.memory();
  throw InfeasibleError(fmt::format("{:.2f} GiB of device memory wanted, {:.2f} of {:.2f} GiB free",
                                    static_cast<double>(bytes.count()) / 0x1p30,
                                    static_cast<double>(memory.free) / 0x1p30,
                                    static_cast<double>(memory.total) / 0x1p30));
}

PinnedBuffer allocate_pinned(const DeviceRuntime& runtime, Bytes bytes) {
  return {runtime.allocate_pinned(static_cast<std::size_t>(bytes.count())), {&runtime}};
}

}  // namespace moeshift
